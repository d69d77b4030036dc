// Any bytes as a file that somebody hands in: result documents, thresholds, traces, recordings,
// tensors, chats. Each is read or refused with a reason, and what was read can be reported.
//
// The first byte chooses which of them it is.
#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/check.h"
#include "perf/gate/samples.h"
#include "perf/gate/thresholds.h"
#include "perf/load/audio_file.h"
#include "perf/load/chat_input.h"
#include "perf/load/json_file.h"
#include "perf/load/tensor_data.h"
#include "perf/load/trace.h"
#include "perf/report/csv_report.h"
#include "perf/report/hgrm_report.h"
#include "perf/report/html_report.h"
#include "perf/report/k6_report.h"
#include "perf/report/markdown_report.h"
#include "perf/report/report_data.h"
#include "perf/report/report_text.h"

namespace sis::perf {
namespace {

void document(std::string_view text) {
  const auto json = parse_json_text(std::string(text), "run.json");
  if (!json.ok()) return;
  if (const auto samples = read_samples(*json, "run.json", ""); samples.ok())
    SIS_CHECK(!samples->empty());
  const auto report = parse_report(*json);
  SIS_CHECK(report.ok() || !report.error().message.empty());
  if (!report.ok()) return;
  (void)report_text(*report);
  (void)html_report(*report);
  (void)markdown_report(*report);
  (void)csv_report(*report);
  (void)hgrm_files(*report);
  for (const auto& summary :
       {k6_summary_export(*report), k6_handle_summary(*report), k6_machine_summary(*report)})
    SIS_CHECK(nlohmann::json::accept(summary), summary);
}

void thresholds(std::string_view text) {
  Thresholds rules;
  if (text.starts_with("{")) {
    const auto json = parse_json_text(std::string(text), "thresholds");
    if (!json.ok() || !rules.add_json(*json).ok()) return;
  } else if (const Status status = rules.add_flag(text); !status.ok()) {
    SIS_CHECK(!status.error().message.empty());
    return;
  }
  (void)rules.may_abort();
  const auto results = rules.evaluate(nlohmann::ordered_json::object());
  SIS_CHECK(results.size() == rules.rules().size());
  (void)thresholds_text(results);
}

void trace(std::string_view text) {
  const auto times = parse_trace(text, "t");
  if (!times.ok()) return;
  SIS_CHECK(!(*times)->empty() && std::is_sorted((*times)->begin(), (*times)->end()));
}

void inputs(std::string_view text) {
  if (const auto data = parse_tensor_data(std::string(text), "data.json"); data.ok())
    for (const DataStream& stream : data->streams)
      for (const DataStep& step : stream)
        for (const auto& [name, tensor] : step)
          for (const TensorType type : {TensorType::kBytes, TensorType::kInt8, TensorType::kUint64,
                                        TensorType::kFp16, TensorType::kFp32})
            if (const auto raw = tensor.bytes(type); raw.ok())
              SIS_CHECK(raw_elements(type, *raw).ok(), name);
  for (const ChatTurns turns : {ChatTurns::kFirst, ChatTurns::kLast, ChatTurns::kAll})
    if (const auto chats = parse_chat_input(std::string(text), "chats.json", turns); chats.ok())
      SIS_CHECK(!chats->empty());
}

}  // namespace
}  // namespace sis::perf

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sis::perf;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      document(text);
      break;
    case 1:
      thresholds(text);
      break;
    case 2:
      trace(text);
      break;
    case 3:
      inputs(text);
      break;
    default:
      if (const auto seconds = audio_seconds(text)) SIS_CHECK(*seconds >= 0, *seconds);
  }
  return 0;
}
