#include "model_argument.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "base/strings.h"
#include "serve/server/catalog.h"
#include "serve/server/model_folder.h"

namespace sis::apps {

Result<std::string> folder_of_model(const std::string& model) {
  if (std::find(std::begin(server::kDemoNames), std::end(server::kDemoNames), model) ==
      std::end(server::kDemoNames))
    return model;
  const char* data_dir = std::getenv("SIS_DATA_DIR");
  return server::resolve_model_folder(
      {.name = model, .path = ""},
      {.data_dir = data_dir ? data_dir : "", .executable_dir = server::executable_dir()});
}

Result<Isa> isa_of_argument(const std::string& word) {
  const Isa machine = detect_isa();
  if (word == "auto") return machine;
  const auto wanted = parse_isa(word);
  if (!wanted)
    return Error{
        Code::kInvalidArgument,
        concat("--isa: want auto, ref, avx2, avx512, avx512_bf16 or amx, got ", in_quotes(word))};
  if (*wanted > machine)
    return Error{Code::kInvalidArgument, concat("--isa: this machine has ", isa_name(machine),
                                                ", not ", isa_name(*wanted))};
  return *wanted;
}

}  // namespace sis::apps
