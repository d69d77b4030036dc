// Any body gives a call or an error; a call's answer is JSON.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "serve/api/openai/embeddings_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string body(reinterpret_cast<const char*>(data), size);
  body.resize(size + 64);
  const auto call = sis::api::parse_embeddings(
      {body.data(), size}, {}, [](const std::string&) -> sis::Status { return {}; });
  if (!call.ok()) return call.error().message.empty() ? std::abort(), 0 : 0;
  if (call->request.inputs.empty()) std::abort();
  return 0;
}
