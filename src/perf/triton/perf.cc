#include "perf/triton/perf.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "base/utc.h"
#include "perf/join/server_join.h"
#include "perf/load/kserve.h"
#include "perf/report/summary.h"
#include "perf/triton/csv.h"
#include "perf/triton/level.h"
#include "perf/triton/model.h"
#include "perf/triton/payload.h"
#include "perf/triton/profile_export.h"
#include "perf/triton/report.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

class PerfCommand {
 public:
  PerfCommand(const BenchContext& context, PerfSettings settings)
      : context_(context), settings_(std::move(settings)) {}

  int run() {
    started_ = utc_now();
    if (Status status = prepare(); !status.ok()) return complain(status.error(), kPerfFailed);
    print(settings_text(settings_));
    int exit_code = search();
    if (stopped()) exit_code = kPerfFailed;
    print(closing_text(settings_, levels_));
    if (Status status = write_files(); !status.ok()) return complain(status.error(), kPerfFailed);
    return exit_code;
  }

 private:
  void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), context_.out);
    std::fflush(context_.out);
  }
  int complain(const Error& error, int exit_code) {
    fmt::print(context_.messages, "sis perf: {}\n", error.message);
    return exit_code;
  }
  void warn(const std::string& text) { fmt::print(context_.messages, "WARNING: {}\n", text); }
  bool stopped() const { return context_.stop != nullptr && context_.stop->load(); }

  Status prepare() {
    if (settings_.collect_metrics) find_metrics_url();
    if (settings_.kind == ServiceKind::kOpenAi) {
      SIS_TRY(prepare_payloads());
    } else {
      SIS_TRY(prepare_tensors());
    }
    if (!settings_.profile_file.empty()) {
      SIS_ASSIGN(export_, ProfileExport::open(settings_));
      recorder_ = std::make_unique<Recorder>(*workload_);
    }
    return {};
  }

  void find_metrics_url() {
    std::string& url = settings_.metrics_url;
    if (url.empty()) {
      net::Url metrics = settings_.url;
      metrics.port = 8002;
      metrics.target = "/metrics";
      url = metrics.text();
    } else if (url.find("://") == std::string::npos) {
      url = "http://" + url;
    }
  }

  Status prepare_payloads() {
    PayloadOptions options{.url = settings_.url,
                           .endpoint = settings_.endpoint,
                           .headers = settings_.headers,
                           .bodies = {}};
    for (const auto& file : settings_.input_files) {
      SIS_ASSIGN(auto bodies, read_payloads(file));
      std::move(bodies.begin(), bodies.end(), std::back_inserter(options.bodies));
    }
    print(fmt::format(" Successfully read data for 1 stream/streams with {} step/steps.\n",
                      options.bodies.size()));
    SIS_ASSIGN(workload_, PayloadWorkload::create(options));
    return {};
  }

  Status prepare_tensors() {
    SIS_ASSIGN(PerfModel model, fetch_perf_model(settings_));
    model_ = std::make_unique<PerfModel>(std::move(model));
    if (!model_->statistics)
      warn("the server does not list the extension 'statistics': no figures of the server");
    KServeOptions options{.url = settings_.url,
                          .model = settings_.model,
                          .version = settings_.version,
                          .headers = settings_.headers,
                          .metadata = model_->tensors,
                          .zeros = settings_.zero_input,
                          .string_bytes = static_cast<size_t>(settings_.string_length),
                          .string_text = settings_.string_data,
                          .shapes = settings_.shapes,
                          .batch = settings_.batch,
                          .binary = !settings_.json_tensors,
                          .binary_outputs = !settings_.json_tensors,
                          .seed = static_cast<uint64_t>(settings_.seed)};
    if (!settings_.parameters.empty()) options.parameters = Json::parse(settings_.parameters);
    if (!settings_.input_files.empty()) {
      auto data = std::make_shared<TensorData>();
      for (const auto& file : settings_.input_files) {
        SIS_ASSIGN(TensorData more, read_tensor_data(file));
        std::move(more.streams.begin(), more.streams.end(), std::back_inserter(data->streams));
        std::move(more.expected.begin(), more.expected.end(), std::back_inserter(data->expected));
      }
      // Expected outputs go with their inputs: all files have them or none is compared.
      if (data->expected.size() != data->streams.size()) data->expected.clear();
      print(fmt::format(" Successfully read data for {} stream/streams with {} step/steps.\n",
                        data->streams.size(), data->steps()));
      options.data = std::move(data);
    }
    SIS_ASSIGN(workload_, KServeWorkload::create(options));
    return {};
  }

  // What one level's measuring came to.
  enum class Outcome : uint8_t { kGood, kOverLimit, kUnstable, kFailed };

  Outcome measure(double value) {
    print(level_title(settings_, value));
    const Workload& workload =
        recorder_ != nullptr ? static_cast<const Workload&>(*recorder_) : *workload_;
    LevelContext level_context{.settings = settings_,
                               .model = model_.get(),
                               .workload = workload,
                               .warm_up = *workload_,
                               .stop = context_.stop};
    level_context.warn = [this](const std::string& text) { warn(text); };
    if (settings_.verbosity > 0)
      level_context.pass = [this](const std::string& text) { print(text); };
    if (export_ != nullptr)
      level_context.on_boundary = [this](TimePoint time) { export_->note_boundary(time); };
    const HostCpu host;
    PerfLevel level;
    LevelFailure failure;
    const bool measured = measure_level(level_context, value, level, failure);
    if (recorder_ != nullptr) export_->add_level(value, recorder_->take(), *workload_);
    if (!measured) {
      exit_code_ = complain(failure.error, failure.exit_code);
      return Outcome::kFailed;
    }
    if (!level.warning.empty()) warn(level.warning);
    add_json(level, host.json());
    if (level.over_limit) {
      fmt::print(context_.messages, "Measured latency went over the set limit of {} msec. \n",
                 settings_.latency_limit_ms);
      return Outcome::kOverLimit;
    }
    if (!level.stable) {
      complain(Error{Code::kDeadline,
                     fmt::format(
                         "no stable measurement within {} windows for {} {:g}; want a "
                         "longer {}",
                         level.windows,
                         settings_.mode == LoadMode::kConcurrency ? "concurrency" : "request rate",
                         value,
                         settings_.count_windows ? "--measurement-request-count"
                                                 : "--measurement-interval")},
               kPerfUnstable);
      return Outcome::kUnstable;
    }
    print(level_text(settings_, model_.get(), level));
    // The engine's own account is in the JSON; the report needs the merged windows only.
    level.run = RunResult{};
    levels_.push_back(std::move(level));
    return Outcome::kGood;
  }

  int search() {
    switch (settings_.mode) {
      case LoadMode::kConcurrency:
        return settings_.binary_search ? binary(settings_.concurrency)
                                       : linear(settings_.concurrency);
      case LoadMode::kRequestRate:
        return settings_.binary_search ? binary(settings_.rate) : linear(settings_.rate);
      case LoadMode::kIntervals: {
        double per_s = 0;
        const auto trace = read_intervals(settings_.intervals_file, Duration{}, per_s);
        if (!trace.ok()) return complain(trace.error(), kPerfFailed);
        return linear(SearchRange<double>{.start = per_s, .end = per_s, .step = per_s});
      }
    }
    return kPerfFailed;
  }

  template <class T>
  int linear(const SearchRange<T>& range) {
    int measured = 0;
    T value = range.start;
    Outcome outcome = Outcome::kGood;
    do {
      if (stopped()) return kPerfFailed;
      outcome = measure(static_cast<double>(value));
      if (outcome == Outcome::kFailed) return exit_code_;
      ++measured;
      value += range.step;
    } while ((value <= range.end || range.end == 0) && outcome == Outcome::kGood);
    return measured == 1 && outcome == Outcome::kUnstable ? kPerfUnstable : kPerfOk;
  }

  template <class T>
  int binary(const SearchRange<T>& range) {
    T low = range.start, high = range.end;
    for (const T end : {low, high}) {
      const Outcome outcome = measure(static_cast<double>(end));
      if (outcome == Outcome::kFailed) return exit_code_;
      // Over the limit from the start on, or within it to the end.
      if ((outcome == Outcome::kGood) == (end == high)) return kPerfOk;
    }
    while (high - low > range.step && !stopped()) {
      const T middle = (low + high) / 2;
      const Outcome outcome = measure(static_cast<double>(middle));
      if (outcome == Outcome::kFailed) return exit_code_;
      (outcome == Outcome::kGood ? low : high) = middle;
    }
    return kPerfOk;
  }

  void add_json(const PerfLevel& level, Json host) {
    if (settings_.json_file.empty()) return;
    RunResult result = level.run;
    // The figures are those of the report: the merged windows where the level became stable.
    if (level.stable && level.measured.length_s > 0 && settings_.request_count == 0) {
      const Tally& all = level.run.tally;
      Tally tally = level.measured.tally;
      const double length_s = level.measured.length_s;
      tally.started = all.started;
      tally.window_end = all.started + from_seconds(length_s);
      tally.ok_in_window = tally.ok;
      tally.items_in_window = tally.items;
      tally.cpu_s = all.cpu_s;
      tally.cpu_wait_s = all.cpu_wait_s;
      tally.cpu_share_max = all.cpu_share_max;
      result.tally = std::move(tally);
    }
    const RunLabel label{.what = "perf",
                         .model = settings_.model,
                         .load = concat("batch of ", settings_.batch),
                         .items_name = "inferences"};
    Json run = summary_json(label, level.options, result);
    run["level"] = settings_.mode == LoadMode::kConcurrency
                       ? Json{{"concurrency", static_cast<int64_t>(level.value)}}
                       : Json{{"request_rate", level.value}};
    run["stable"] = level.stable;
    run["over_latency_limit"] = level.over_limit;
    run["measured_windows"] = level.windows;
    run["host_cpu"] = std::move(host);
    if (model_ != nullptr && model_->statistics && level.stable)
      run["server"] =
          server_json(ModelKey{settings_.model, settings_.version}, level.measured.server);
    runs_.push_back(std::move(run));
  }

  static Json server_json(const ModelKey& key, const ServerStats& stats) {
    Json out;
    out["kind"] = "kserve";
    out["model"] = key.first;
    if (!key.second.empty()) out["version"] = key.second;
    out.update(stats.own.json());
    for (const auto& [child, child_stats] : stats.children)
      out["composing_models"].push_back(server_json(child, child_stats));
    return out;
  }

  Status write_files() {
    for (const auto& [name, text] : csv_files(settings_, model_.get(), levels_))
      SIS_TRY(write_text_file(name, text));
    if (export_ != nullptr) {
      SIS_TRY(export_->close(SIS_VERSION));
      if (recorder_->dropped() > 0)
        warn(concat("--profile-export-file: ", with_commas(recorder_->dropped()),
                    " requests did not fit and are not in it"));
    }
    if (settings_.json_file.empty()) return {};
    const Document document{.version = SIS_VERSION,
                            .command = context_.command,
                            .started = started_,
                            .machine = this_machine()};
    return write_text_file(settings_.json_file,
                           document_json(document, runs_)
                                   .dump(1, ' ', false, nlohmann::json::error_handler_t::replace) +
                               "\n");
  }

  const BenchContext& context_;
  PerfSettings settings_;
  std::string started_;
  std::unique_ptr<PerfModel> model_;
  std::unique_ptr<Workload> workload_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<ProfileExport> export_;
  std::vector<PerfLevel> levels_;
  Json runs_ = Json::array();
  int exit_code_ = kPerfFailed;
};

}  // namespace

int perf(const BenchContext& context, const std::vector<std::string>& arguments) {
  auto parsed = parse_perf_arguments(arguments);
  if (!parsed.ok()) {
    fmt::print(context.messages, "sis perf: {}\n", parsed.error().message);
    return kPerfFailed;
  }
  if (!parsed->help.empty()) {
    fmt::print(context.out, "{}", parsed->help);
    return kPerfOk;
  }
  return PerfCommand(context, std::move(parsed->settings)).run();
}

}  // namespace sis::perf
