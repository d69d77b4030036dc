#include "perf/report/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "perf/report/summary.h"

namespace sis::perf {
namespace {

constexpr Duration kPlainEvery = std::chrono::seconds(5);

std::string seconds_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::ceil(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

}  // namespace

std::string progress_line(const RunOptions& options, const Progress& before, const Progress& now) {
  if (now.warming)
    return fmt::format("warming up: {} requests done", with_commas(now.ok + now.failed));
  const uint64_t done = now.ok + now.failed;
  const double duration_s = to_seconds(options.duration);
  std::string out = with_commas(done);
  if (options.requests > 0) out += "/" + with_commas(options.requests);
  double share = 0;
  if (options.requests > 0)
    share = static_cast<double>(done) / static_cast<double>(options.requests);
  if (duration_s > 0) share = std::max(share, now.elapsed_s / duration_s);
  share = std::min(share, 1.0);
  out += fmt::format(" ({:.0f} %)", share * 100);

  // A counter that went down means another phase: then there is no step to speak of.
  const bool step =
      now.elapsed_s > before.elapsed_s && done >= before.ok + before.failed && now.ok >= before.ok;
  if (step) {
    out += fmt::format("  {} requests/s",
                       short_number(static_cast<double>(done - before.ok - before.failed) /
                                    (now.elapsed_s - before.elapsed_s)));
    if (now.ok > before.ok)
      out += fmt::format("  {} ms", short_number((now.latency_sum_ms - before.latency_sum_ms) /
                                                 static_cast<double>(now.ok - before.ok)));
  }
  out += fmt::format("  errors {}", with_commas(now.failed));
  if (share > 0 && now.elapsed_s > 0)
    out += "  ETA " + seconds_text(now.elapsed_s * (1 - share) / share);
  return out;
}

ProgressPrinter::ProgressPrinter(std::FILE* out, std::string label, const RunOptions& options)
    : out_(out),
      label_(std::move(label)),
      options_(options),
      printed_at_(std::chrono::steady_clock::now()) {
  tty_ = out_ != nullptr && isatty(fileno(out_)) != 0;
}

ProgressPrinter::~ProgressPrinter() {
  if (tty_ && drawn_) {
    std::fputs("\r\x1b[K", out_);
    std::fflush(out_);
  }
}

void ProgressPrinter::show(const Progress& progress) {
  if (out_ == nullptr) return;
  const TimePoint now = std::chrono::steady_clock::now();
  if (!tty_ && now - printed_at_ < kPlainEvery) return;
  const std::string line = progress_line(options_, before_, progress);
  if (tty_)
    fmt::print(out_, "\r\x1b[K{}: {}", label_, line);
  else
    fmt::print(out_, "{}: {}\n", label_, line);
  std::fflush(out_);
  drawn_ = true;
  // On a terminal the rate is that of the last second or so, not of one redraw.
  if (!tty_ || progress.elapsed_s - before_.elapsed_s > 1 || progress.elapsed_s < before_.elapsed_s)
    before_ = progress;
  printed_at_ = now;
}

}  // namespace sis::perf
