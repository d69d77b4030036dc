#include "telemetry/log.h"

#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <thread>
#include <utility>

#include "base/strings.h"
#include "base/thread_team.h"
#include "telemetry/json_text.h"

namespace sis::telemetry {
namespace {

constexpr size_t kWakeBytes = 256 << 10;  // do not let more than this gather until the next flush

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kCritical:
      return spdlog::level::critical;
    case Level::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

// "2026-01-31T12:00:00+01:00", computed once per second and thread.
std::string_view timestamp_now() {
  thread_local std::time_t second = -1;
  thread_local std::string text;
  if (const std::time_t now = std::time(nullptr); now != second) {
    second = now;
    std::tm local = {};
    localtime_r(&now, &local);
    char buffer[40];
    text.assign(buffer, std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S%z", &local));
    if (text.size() > 2) text.insert(text.size() - 2, ":");  // +0100 to +01:00
  }
  return text;
}

void append_value(std::string& out, const Field::Value& value, LogFormat format) {
  auto to = std::back_inserter(out);
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    const bool bare = format == LogFormat::kText && !text->empty() &&
                      text->find_first_of(" \"\\=\n\r\t") == std::string_view::npos &&
                      is_utf8(*text) &&
                      in_quotes(*text, text->size() + 2).size() == text->size() + 2;
    if (bare)
      out += *text;
    else
      append_json_string(out, *text);
  } else if (const auto* whole = std::get_if<int64_t>(&value)) {
    fmt::format_to(to, "{}", *whole);
  } else if (const auto* number = std::get_if<double>(&value); number && std::isfinite(*number)) {
    fmt::format_to(to, "{}", *number);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    out += *flag ? "true" : "false";
  } else {
    out += "null";  // JSON has no infinity and no NaN
  }
}

void append_json_line(std::string& out, Level level, std::string_view logger,
                      std::string_view message, std::string_view request_id,
                      std::span<const Field> fields) {
  out += "{\"level\":\"";
  out += level_name(level);
  out += "\",\"logger\":";
  append_json_string(out, logger);
  out += ",\"timestamp\":\"";
  out += timestamp_now();
  out += "\",\"message\":";
  append_json_string(out, message);
  out += ",\"request_id\":";
  if (request_id.empty())
    out += "null";
  else
    append_json_string(out, request_id);
  for (const Field& field : fields) {
    out += ',';
    append_json_string(out, field.key);
    out += ':';
    append_value(out, field.value, LogFormat::kJson);
  }
  out += "}\n";
}

void append_text_line(std::string& out, Level level, std::string_view logger,
                      std::string_view message, std::string_view request_id,
                      std::span<const Field> fields) {
  fmt::format_to(std::back_inserter(out), "{} {:<8} {}: ", timestamp_now(), level_name(level),
                 logger);
  // Control bytes must not let a message pretend to be another line.
  const std::string safe = in_quotes(message, message.size() * 4 + 2);
  out.append(safe, 1, safe.size() - 2);
  const auto add = [&](std::string_view key, const Field::Value& value) {
    out += ' ';
    out += key;
    out += '=';
    append_value(out, value, LogFormat::kText);
  };
  if (!request_id.empty()) add("request_id", request_id);
  for (const Field& field : fields) add(field.key, field.value);
  out += '\n';
}

}  // namespace

// Gathers finished lines and writes them from its own thread.
class LogSink final : public spdlog::sinks::sink {
 public:
  explicit LogSink(const LogOptions& options) : options_(options), log_level_(options.level) {
    writer_ = std::thread([this] { run(); });
  }
  ~LogSink() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    writer_.join();
  }

  void log(const spdlog::details::log_msg& message) override {
    bool wake = message.level >= spdlog::level::warn;
    {
      const std::lock_guard lock(mutex_);
      if (pending_.size() + message.payload.size() > options_.buffer_bytes_max) {
        ++dropped_;
        return;
      }
      if (dropped_ > 0) {
        std::string note;
        const auto lost = std::exchange(dropped_, 0);
        const auto append =
            options_.format == LogFormat::kJson ? append_json_line : append_text_line;
        const Field field("lines", lost);
        append(note, Level::kWarning, "sis.log", "log_lines_dropped", {}, {&field, 1});
        pending_ += note;
      }
      const size_t before = pending_.size();
      pending_.append(message.payload.data(), message.payload.size());
      wake = wake || (before < kWakeBytes && pending_.size() >= kWakeBytes);
      urgent_ = urgent_ || wake;
    }
    if (wake) wake_.notify_one();
  }

  void flush() override {
    std::unique_lock lock(mutex_);
    const uint64_t wanted = rounds_ + 2;  // the round in work may have begun before our lines came
    urgent_ = true;
    wake_.notify_one();
    written_.wait(lock, [&] { return (pending_.empty() && !writing_) || rounds_ >= wanted; });
  }

  void set_pattern(const std::string&) override {}  // lines come finished
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

  std::atomic<Level>& level_of_log() { return log_level_; }
  LogFormat format() const { return options_.format; }

 private:
  void run() {
    name_this_thread("sis-log");
    std::string lines;
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait_for(lock, options_.flush_every, [&] { return urgent_ || stopping_; });
      urgent_ = false;
      const bool last = stopping_;
      lines.clear();
      std::swap(lines, pending_);
      writing_ = !lines.empty();
      lock.unlock();
      write_all(lines);
      lock.lock();
      writing_ = false;
      ++rounds_;
      written_.notify_all();
      if (last && pending_.empty()) return;
    }
  }

  // Whole or not at all matters less than never spinning: a broken pipe ends the attempt.
  void write_all(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t count = ::write(options_.fd, text.data(), text.size());
      if (count > 0) {
        text.remove_prefix(static_cast<size_t>(count));
      } else if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        pollfd ready = {options_.fd, POLLOUT, 0};
        ::poll(&ready, 1, 1000);
      } else if (count < 0 && errno != EINTR) {
        return;
      }
    }
  }

  const LogOptions options_;
  std::atomic<Level> log_level_;
  std::mutex mutex_;
  std::condition_variable wake_, written_;
  std::string pending_;
  uint64_t rounds_ = 0;
  int64_t dropped_ = 0;
  bool urgent_ = false, stopping_ = false, writing_ = false;
  std::thread writer_;
};

const char* level_name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "DEBUG";
    case Level::kInfo:
      return "INFO";
    case Level::kWarning:
      return "WARNING";
    case Level::kError:
      return "ERROR";
    case Level::kCritical:
      return "CRITICAL";
    case Level::kOff:
      return "OFF";
  }
  return "OFF";
}

std::optional<Level> parse_level(std::string_view name) {
  if (iequals(name, "WARN")) return Level::kWarning;
  for (const Level level :
       {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError, Level::kCritical, Level::kOff})
    if (iequals(name, level_name(level))) return level;
  return std::nullopt;
}

Logger::Logger(std::shared_ptr<LogSink> sink, std::string name)
    : sink_(std::move(sink)), name_(std::move(name)) {
  if (sink_) level_ = &sink_->level_of_log();
}

void Logger::set_level(Level level) const {
  if (sink_) sink_->level_of_log().store(level, std::memory_order_relaxed);
}

void Logger::write(Level level, std::string_view message, std::string_view request_id,
                   std::span<const Field> fields) const {
  if (!sink_) return;
  thread_local std::string line;
  line.clear();
  const auto append = sink_->format() == LogFormat::kJson ? append_json_line : append_text_line;
  append(line, level, name_, message, request_id, fields);
  sink_->log(spdlog::details::log_msg(name_, to_spdlog(level), line));
}

void Logger::flush() const {
  if (sink_) sink_->flush();
}

Logger open_log(const LogOptions& options, std::string name) {
  return Logger(std::make_shared<LogSink>(options), std::move(name));
}

}  // namespace sis::telemetry
