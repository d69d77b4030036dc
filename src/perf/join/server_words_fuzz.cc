// Any bytes as what a server tells about itself, and as what a Locust master says: pages of
// metrics, statistics, error bodies, tensors, orders. All of it is read within bounds or refused
// with a reason.
//
// The first byte chooses which of them it is; two pages are the input up to a NUL and from there.
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/check.h"
#include "perf/join/kserve_stats.h"
#include "perf/join/server_view.h"
#include "perf/load/json_file.h"
#include "perf/load/kserve_model.h"
#include "perf/load/openai_http.h"
#include "perf/locust/protocol.h"
#include "perf/triton/profile_export.h"

namespace sis::perf {
namespace {

void metrics(std::string_view first_text, std::string_view second_text) {
  const auto first = MetricPage::parse(first_text), second = MetricPage::parse(second_text);
  SIS_CHECK(first.ok() || !first.error().message.empty());
  if (!first.ok() || !second.ok()) return;
  const ServerKind* kind = recognise(*first);
  if (kind == nullptr) return;
  for (const char* model : {"", "m"}) {
    ServerView view(*kind, model);
    SIS_CHECK(view.add(*first).ok() && view.add(*second).ok());
    SIS_CHECK(!server_lines(view.json()).empty());
  }
}

void statistics(std::string_view first_text, std::string_view second_text) {
  const auto before = parse_kserve_stats(first_text), after = parse_kserve_stats(second_text);
  if (!before.ok() || !after.ok()) return;
  ModelStats sum;
  for (const auto& [key, now] : *after) {
    bool reset = false;
    const auto then = before->find(key);
    sum.add(now.since(then == before->end() ? ModelStats{} : then->second, reset));
  }
  SIS_CHECK(sum.json().is_object());
  for (const StageStats& stage : {sum.success, sum.fail, sum.queue, sum.compute_infer})
    SIS_CHECK(stage.mean_us() <= stage.ns);
}

void answer(std::string_view body) {
  SIS_CHECK(!error_message(body).empty());
  const std::string tensors = tensors_as_json(body, "outputs");
  SIS_CHECK(nlohmann::json::accept(tensors), tensors);
  const auto document = parse_json_text(std::string(body), "answer");
  if (!document.ok()) return;
  if (const auto model = parse_kserve_model(*document, *document); model.ok())
    SIS_CHECK(!kserve_model_path(model->name, "1").empty());
}

void order(std::string_view bytes) {
  const auto message = parse_master_message(bytes);
  if (!message.ok()) return;
  const auto spawn = parse_spawn(message->data);
  if (!spawn.ok()) return;
  for (const auto& [name, users] : spawn->users) SIS_CHECK(users >= 0, name);
  SIS_CHECK(spawn->stop_timeout >= Duration{});
  // What goes back with these names in it is what we could read ourselves.
  SIS_CHECK(parse_master_message(spawning_complete_message("id", spawn->users)).ok());
}

}  // namespace
}  // namespace sis::perf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sis::perf;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t cut = std::min(text.find('\0'), text.size());
  const std::string_view first = text.substr(0, cut),
                         second = cut < text.size() ? text.substr(cut + 1) : first;
  switch (data[0] % 4) {
    case 0:
      metrics(first, second);
      break;
    case 1:
      statistics(first, second);
      break;
    case 2:
      answer(text);
      break;
    default:
      order(text);
  }
  return 0;
}
