// `sis embed`: lines of text in, vectors out, through the engine without HTTP; with --repeat its
// benchmark.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numeric>
#include <sstream>

#include "arguments.h"
#include "base/strings.h"
#include "commands.h"
#include "infer/kernels/peak.h"
#include "model_argument.h"
#include "serve/api/json_text.h"
#include "serve/server/catalog.h"
#include "serve/server/embed_loader.h"
#include "telemetry/json_text.h"

namespace sis::apps {
namespace {

struct Options {
  std::string model = server::kDemoEmbedName;
  std::string dtype = "auto", isa = "auto", format = "json";
  std::string input = "-", output = "-";
  int threads = 0, repeat = 0, batch_tokens = 4096, batch_texts = 256;
  bool quiet = false;
};

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "sis embed: %s\n", message.c_str());
  return code;
}

// Lines of a file or stdin; the line end is not part of the text, an empty line is an error
// (nothing to embed).
Result<std::vector<std::string>> read_lines(const std::string& path) {
  SIS_ASSIGN(const std::string text, read_input(path));
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty())
      return Error{Code::kInvalidArgument, concat("line ", lines.size() + 1, " is empty")};
    if (!is_utf8(line))
      return Error{Code::kInvalidArgument,
                   concat("line ", lines.size() + 1, " is not valid UTF-8")};
    lines.push_back(std::move(line));
  }
  if (lines.empty()) return Error{Code::kInvalidArgument, "no lines to embed"};
  return lines;
}

struct Batch {
  std::vector<int32_t> ids, offsets{0};
  std::vector<size_t> lines;  // which line each sequence is
};

// Batches of lines of about equal length, longest first, so that no step waits for one long
// straggler.
std::vector<Batch> make_batches(const std::vector<std::vector<int32_t>>& encoded,
                                const Options& options) {
  std::vector<size_t> order(encoded.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return encoded[a].size() > encoded[b].size(); });
  std::vector<Batch> batches;
  for (const size_t line : order) {
    const auto& ids = encoded[line];
    if (batches.empty() ||
        batches.back().lines.size() >= static_cast<size_t>(options.batch_texts) ||
        batches.back().ids.size() + ids.size() > static_cast<size_t>(options.batch_tokens))
      batches.emplace_back();
    Batch& batch = batches.back();
    batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
    batch.offsets.push_back(static_cast<int32_t>(batch.ids.size()));
    batch.lines.push_back(line);
  }
  return batches;
}

void progress(const char* what, size_t done, size_t total) {
  std::fprintf(stderr, "\r%s %zu/%zu%s", what, done, total, done == total ? "\n" : "");
}

// NumPy's .npy 1.0: little-endian f32, C order.
void write_npy(std::ostream& out, const std::vector<float>& values, size_t rows, size_t cols) {
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, cols);
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  const auto size = static_cast<uint16_t>(header.size());
  out.write("\x93NUMPY\x01\x00", 8);
  out.put(static_cast<char>(size & 0xFF)).put(static_cast<char>(size >> 8));
  out << header;
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size() * 4));
}

void write_json(std::ostream& out, const std::vector<std::string>& lines,
                const std::vector<float>& values, size_t cols) {
  std::string row;
  for (size_t i = 0; i < lines.size(); ++i) {
    row = R"({"text":)";
    telemetry::append_json_string(row, lines[i]);
    row += R"(,"embedding":[)";
    for (size_t c = 0; c < cols; ++c) {
      if (c > 0) row += ',';
      api::append_float(row, values[i * cols + c]);
    }
    out << row << "]}\n";
  }
}

// Runs all batches once; vectors land in `values` in line order. Seconds spent on the device.
double run_once(const tasks::EmbedModel& model, engine::DeviceExecutor& executor,
                const std::vector<Batch>& batches, std::vector<float>& values,
                const std::function<void(size_t)>& on_batch) {
  const size_t cols = static_cast<size_t>(model.dimensions());
  double seconds = 0;
  for (size_t b = 0; b < batches.size(); ++b) {
    executor.call([&](ops::Context& context) {
      const auto begin = std::chrono::steady_clock::now();
      const auto out = tasks::embed_batch(model, context,
                                          {.ids = batches[b].ids, .offsets = batches[b].offsets});
      seconds += to_seconds(std::chrono::steady_clock::now() - begin);
      for (int64_t r = 0; r < out.rows; ++r)
        std::copy(out.row(r), out.row(r) + cols,
                  values.begin() + static_cast<std::ptrdiff_t>(batches[b].lines[r] * cols));
    });
    on_batch(b + 1);
  }
  return seconds;
}

void report_speed(const Options& options, const tasks::EmbedModel& model,
                  engine::DeviceExecutor& executor, const std::vector<Batch>& batches,
                  std::vector<float>& values, size_t lines, DType compute) {
  int64_t tokens = 0;
  double flops = 0;
  for (const auto& batch : batches) {
    tokens += static_cast<int64_t>(batch.ids.size());
    flops += model.encoder->flops(batch.offsets);
  }
  std::vector<double> seconds, peaks;
  run_once(model, executor, batches, values, [](size_t) {});  // warm-up
  for (int i = 0; i < options.repeat; ++i) {
    // The wall is probed beside every run: neighbours and clocks change from second to second.
    executor.call([&](ops::Context& context) {
      peaks.push_back(kernels::measure_peak_flops(context.team, compute, context.isa));
    });
    seconds.push_back(run_once(model, executor, batches, values, [](size_t) {}));
    if (!options.quiet) progress("run", i + 1, options.repeat);
  }
  std::vector<double> shares;
  for (size_t i = 0; i < seconds.size(); ++i) shares.push_back(flops / seconds[i] / peaks[i]);
  const auto median = [](std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
  };
  const double typical = median(seconds);
  std::fprintf(stderr,
               "%zu texts, %lld tokens, %d runs: %.1f texts/s, %.0f tokens/s (median; fastest "
               "%.0f, slowest %.0f)\n",
               lines, static_cast<long long>(tokens), options.repeat,
               static_cast<double>(lines) / typical, static_cast<double>(tokens) / typical,
               static_cast<double>(tokens) / *std::min_element(seconds.begin(), seconds.end()),
               static_cast<double>(tokens) / *std::max_element(seconds.begin(), seconds.end()));
  std::fprintf(stderr,
               "%.3f TFLOP/s, %.0f %% of the %.2f TFLOP/s this machine's %s units reach in "
               "registers, measured between the runs\n",
               flops / typical / 1e12, 100 * median(shares), median(peaks) / 1e12,
               dtype_name(compute));
}

int run(const Options& options) {
  const auto chosen = isa_of_argument(options.isa);
  if (!chosen.ok()) return fail(2, chosen.error().message);
  const Isa isa = *chosen;
  auto lines = read_lines(options.input);
  if (!lines.ok()) return fail(2, lines.error().message);

  SteadyClock clock;
  engine::DeviceExecutor executor({.threads = options.threads, .isa = isa}, clock);
  const auto found = folder_of_model(options.model);
  if (!found.ok()) return fail(1, found.error().message);
  const std::string& folder = *found;
  auto model = server::load_embed_model(
      {.name = options.model, .folder = folder, .dtype = options.dtype}, executor);
  if (!model.ok()) return fail(1, model.error().message);
  const DType compute = *server::choose_dtype(options.dtype, isa);
  if (!options.quiet)
    std::fprintf(
        stderr,
        "%s: %s, %d layers, hidden %d, %d dimensions, at most %d tokens; %s on %d threads\n",
        folder.c_str(), model->encoder->info().family.c_str(), model->encoder->info().layers,
        model->encoder->info().hidden, model->dimensions(), model->tokens_max,
        model->encoder->info().kernels.c_str(), executor.threads());

  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::vector<int32_t>> encoded;
  size_t text_bytes = 0;
  for (const auto& line : *lines) {
    text_bytes += line.size();
    encoded.push_back(
        model->tokenizer->encode(model->prompt + line, {.tokens_max = model->tokens_max}).ids);
    if (encoded.back().empty()) return fail(1, concat("line ", encoded.size(), " has no tokens"));
  }
  const double encode_seconds = to_seconds(std::chrono::steady_clock::now() - begin);
  if (options.repeat > 0)
    std::fprintf(stderr, "tokenised %.2f MB at %.1f MB/s on one thread\n",
                 static_cast<double>(text_bytes) / 1e6,
                 static_cast<double>(text_bytes) / 1e6 / encode_seconds);

  const auto batches = make_batches(encoded, options);
  std::vector<float> values(lines->size() * static_cast<size_t>(model->dimensions()));
  if (options.repeat > 0) {
    report_speed(options, *model, executor, batches, values, lines->size(), compute);
  } else {
    const bool show = !options.quiet && batches.size() > 4;
    run_once(*model, executor, batches, values, [&](size_t done) {
      if (show) progress("batch", done, batches.size());
    });
  }

  if (options.repeat > 0 && options.output == "-")
    return 0;  // a benchmark prints no vectors unless asked
  std::ofstream file;
  std::ostream* out = &std::cout;
  if (options.output != "-") {
    file.open(options.output, std::ios::binary);
    if (!file) return fail(1, concat("--output: cannot write ", in_quotes(options.output)));
    out = &file;
  }
  if (options.format == "npy")
    write_npy(*out, values, lines->size(), static_cast<size_t>(model->dimensions()));
  else
    write_json(*out, *lines, values, static_cast<size_t>(model->dimensions()));
  out->flush();
  if (!*out) return fail(1, concat("--output: writing ", in_quotes(options.output), " failed"));
  return 0;
}

}  // namespace

int embed_main(int argc, char** argv) {
  Options options;
  CLI::App app{"Turns lines of text into vectors, without a server.", "sis embed"};
  app.add_option("--model", options.model, "checkpoint folder; default: the demo model");
  app.add_option("--dtype", options.dtype, "of the weights")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "int4", "auto"}))
      ->capture_default_str();
  app.add_option("--isa", options.isa, "instructions used, at most")
      ->check(isa_word())
      ->capture_default_str();
  app.add_option("--threads", options.threads, "0: one per core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--input,-i", options.input, "file of lines; -: stdin")->capture_default_str();
  app.add_option("--output,-o", options.output, "file; -: stdout")->capture_default_str();
  app.add_option("--format", options.format, "json (one object a line) or npy")
      ->check(CLI::IsMember({"json", "npy"}))
      ->capture_default_str();
  app.add_option("--batch-tokens", options.batch_tokens, "tokens of one device batch")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--batch-texts", options.batch_texts, "texts of one device batch")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option(
         "--repeat", options.repeat,
         "measure: run everything so often and report tokens/s and the share of the machine's peak")
      ->check(CLI::Range(1, 1000000));
  app.add_flag("--quiet,-q", options.quiet, "no progress on stderr");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(options);
}

}  // namespace sis::apps
