#include "perf/report/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/strings.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

constexpr Duration kPlainEvery = std::chrono::seconds(5);
constexpr size_t kWindowsKept = 60;
constexpr int kBarMax = 40, kBarMin = 8;
constexpr std::string_view kRed = "\x1b[31m", kBlue = "\x1b[34m", kPlain = "\x1b[0m";

std::string seconds_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::ceil(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

// How much of the wanted requests or time is over; 0 when neither was given.
double share_done(const RunOptions& options, const Progress& now) {
  double share = 0;
  if (options.requests > 0)
    share = static_cast<double>(now.ok + now.failed) / static_cast<double>(options.requests);
  const double duration_s = to_seconds(options.duration);
  if (duration_s > 0) share = std::max(share, now.elapsed_s / duration_s);
  return std::min(share, 1.0);
}

struct Step {
  std::optional<double> per_second, mean_ms;
};

Step step_between(const Progress& before, const Progress& now) {
  Step out;
  const uint64_t done = now.ok + now.failed, done_before = before.ok + before.failed;
  // A counter that went down means another phase: then there is no step to speak of.
  if (!(now.elapsed_s > before.elapsed_s) || done < done_before || now.ok < before.ok) return out;
  out.per_second = static_cast<double>(done - done_before) / (now.elapsed_s - before.elapsed_s);
  if (now.ok > before.ok)
    out.mean_ms =
        (now.latency_sum_ms - before.latency_sum_ms) / static_cast<double>(now.ok - before.ok);
  return out;
}

std::string eta_text(double share, double elapsed_s) {
  if (share <= 0 || elapsed_s <= 0) return {};
  return "  ETA " + seconds_text(elapsed_s * (1 - share) / share);
}

}  // namespace

std::string progress_line(const RunOptions& options, const Progress& before, const Progress& now) {
  if (now.warming)
    return fmt::format("warming up: {} requests done", with_commas(now.ok + now.failed));
  const double share = share_done(options, now);
  std::string out = with_commas(now.ok + now.failed);
  if (options.requests > 0) out += "/" + with_commas(options.requests);
  out += fmt::format(" ({:.0f} %)", share * 100);
  const Step step = step_between(before, now);
  if (step.per_second) out += fmt::format("  {} requests/s", short_number(*step.per_second));
  if (step.mean_ms) out += fmt::format("  {} ms", short_number(*step.mean_ms));
  out += fmt::format("  errors {}", with_commas(now.failed));
  return out + eta_text(share, now.elapsed_s);
}

std::string live_view(const std::string& label, const RunOptions& options, const Progress& before,
                      const Progress& now, std::span<const double> p99_ms,
                      const Terminal& terminal) {
  const int width = terminal.width - 1;  // the last column would wrap on some terminals
  const auto fit = [&](const std::string& line) { return cut_to(line, width, terminal.unicode); };
  if (now.warming)
    return fit(
        fmt::format("{}  warming up: {} requests done", label, with_commas(now.ok + now.failed)));
  const double share = share_done(options, now);
  std::string behind = fmt::format("{:3.0f} %  {} s{}", share * 100, short_number(now.elapsed_s),
                                   eta_text(share, now.elapsed_s));
  if (now.users > 0)
    behind += fmt::format("  {} {}", with_commas(static_cast<uint64_t>(now.users)),
                          options.is_open() ? "connections" : "users");
  const std::string name = cut_to(label, std::max(width / 3, 8), terminal.unicode);
  const int room = width - columns_of(name) - columns_of(behind) - 4;
  std::string first = name;
  if (room >= kBarMin) {
    std::string bar = progress_bar(share, std::min(room, kBarMax), terminal.unicode);
    if (terminal.color) bar = concat(kBlue, bar, kPlain);
    first += concat("  ", bar, "  ", behind);
  } else {
    first = fit(concat(name, "  ", behind));
  }

  const Step step = step_between(before, now);
  std::string second;
  if (step.per_second) second += fmt::format("{} requests/s  ", short_number(*step.per_second));
  if (step.mean_ms) second += fmt::format("mean {} ms  ", short_number(*step.mean_ms));
  const std::string errors = fmt::format("errors {}", with_commas(now.failed));
  std::string picture;
  if (!p99_ms.empty() && std::isfinite(p99_ms.back()))
    second += fmt::format("p99 {} ms ", short_number(p99_ms.back()));
  const int left = width - columns_of(second) - columns_of(errors) - 2;
  if (left > 4 && p99_ms.size() > 1) {
    const size_t shown = std::min(p99_ms.size(), static_cast<size_t>(left));
    picture = sparkline(p99_ms.last(shown), terminal.unicode) + "  ";
  }
  if (left < 0)
    second = fit(second + errors);
  else
    second +=
        concat(picture, terminal.color && now.failed > 0 ? concat(kRed, errors, kPlain) : errors);
  return concat(first, "\n", second);
}

ProgressPrinter::ProgressPrinter(std::FILE* out, std::string label, const RunOptions& options)
    : out_(out),
      label_(printable(label)),
      options_(options),
      terminal_(terminal_of(out)),
      printed_at_(std::chrono::steady_clock::now()) {}

ProgressPrinter::~ProgressPrinter() {
  if (out_ == nullptr || lines_drawn_ == 0) return;
  clear();
  std::fflush(out_);
}

// The cursor stands at the end of the last line that was drawn.
void ProgressPrinter::clear() {
  if (lines_drawn_ == 0) return;
  std::fputs("\r\x1b[K", out_);
  for (int i = 1; i < lines_drawn_; ++i) std::fputs("\x1b[A\x1b[K", out_);
  lines_drawn_ = 0;
}

void ProgressPrinter::note(const Window& window) {
  const Histogram& latency = window.total.latency;
  p99_ms_.push_back(latency.empty() ? std::nan("") : latency.quantile_ms(0.99));
  if (p99_ms_.size() > kWindowsKept) p99_ms_.pop_front();
}

void ProgressPrinter::show(const Progress& progress) {
  if (out_ == nullptr) return;
  const TimePoint now = std::chrono::steady_clock::now();
  if (!terminal_.redraws) {
    if (now - printed_at_ < kPlainEvery) return;
    std::string line = progress_line(options_, before_, progress);
    if (!progress.warming && !p99_ms_.empty() && std::isfinite(p99_ms_.back()))
      line += fmt::format("  p99 {} ms", short_number(p99_ms_.back()));
    fmt::print(out_, "{}: {}\n", label_, line);
    std::fflush(out_);
    before_ = progress;
    printed_at_ = now;
    return;
  }
  terminal_.width = terminal_of(out_).width;  // it may have been resized
  const std::vector<double> p99_ms(p99_ms_.begin(), p99_ms_.end());
  const std::string view = live_view(label_, options_, before_, progress, p99_ms, terminal_);
  clear();
  fmt::print(out_, "{}", view);
  std::fflush(out_);
  lines_drawn_ = 1 + static_cast<int>(std::count(view.begin(), view.end(), '\n'));
  // The rate is that of the last second or so, not of one redraw.
  if (progress.elapsed_s - before_.elapsed_s > 1 || progress.elapsed_s < before_.elapsed_s)
    before_ = progress;
  printed_at_ = now;
}

}  // namespace sis::perf
