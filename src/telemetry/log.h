// Structured log: one JSON object per line on stdout (or a line for people), written by a thread of
// its own.
//
//   {"level":"INFO","logger":"sis.embedding","timestamp":"2026-01-31T12:00:00+01:00","message":"embedding_request",
//    "request_id":"7f..","model":"bge-m3","latency_ms":12.5,"status":200}
//
// log() formats on the calling thread and appends to a buffer; it never waits for the reader of
// stdout. When that reader stalls and the buffer is full, lines are dropped and counted, and the
// next line that fits says how many. A line is written whole, within `flush_every` (at once from
// WARNING up). Any thread. Built in main, passed down by value.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/clock.h"

namespace sis::telemetry {

enum class Level : uint8_t { kDebug, kInfo, kWarning, kError, kCritical, kOff };

const char* level_name(Level level);                      // "WARNING"
std::optional<Level> parse_level(std::string_view name);  // any case; WARN is WARNING

// One extra of a line. The key is a literal; the value must live until log() returns.
struct Field {
  using Value = std::variant<std::nullptr_t, bool, int64_t, double, std::string_view>;
  std::string_view key;
  Value value;

  Field(std::string_view k, std::nullptr_t) : key(k), value(nullptr) {}
  Field(std::string_view k, bool v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) Field(std::string_view k, T v)
      : key(k), value(static_cast<int64_t>(v)) {}
  template <class T>
  requires std::is_floating_point_v<T> Field(std::string_view k, T v)
      : key(k), value(static_cast<double>(v)) {}
};

enum class LogFormat : uint8_t { kJson, kText };

struct LogOptions {
  Level level = Level::kInfo;
  LogFormat format = LogFormat::kJson;
  int fd = 1;  // stdout; not closed
  Duration flush_every = from_ms(50);
  size_t buffer_bytes_max = 8 << 20;  // waiting for a slow reader; more is dropped
};

class LogSink;

// A named way into the log; cheap to copy.
class Logger {
 public:
  Logger() = default;  // logs nothing
  Logger(std::shared_ptr<LogSink> sink, std::string name);

  bool enabled(Level level) const {
    return level_ != nullptr && level >= level_->load(std::memory_order_relaxed);
  }
  // Of all Loggers of this log, from now on.
  void set_level(Level level) const;
  // `request_id` empty: null in the line.
  void log(Level level, std::string_view message, std::string_view request_id,
           std::initializer_list<Field> fields = {}) const {
    log(level, message, request_id, std::span(fields.begin(), fields.size()));
  }
  void log(Level level, std::string_view message, std::string_view request_id,
           std::span<const Field> fields) const {
    if (enabled(level)) write(level, message, request_id, fields);
  }
  void debug(std::string_view message, std::initializer_list<Field> fields = {}) const {
    log(Level::kDebug, message, {}, fields);
  }
  void info(std::string_view message, std::initializer_list<Field> fields = {}) const {
    log(Level::kInfo, message, {}, fields);
  }
  void warning(std::string_view message, std::initializer_list<Field> fields = {}) const {
    log(Level::kWarning, message, {}, fields);
  }
  void error(std::string_view message, std::initializer_list<Field> fields = {}) const {
    log(Level::kError, message, {}, fields);
  }
  // Returns when all lines logged before are written (or could not be).
  void flush() const;
  // The same log under another name.
  Logger named(std::string name) const { return Logger(sink_, std::move(name)); }

 private:
  void write(Level level, std::string_view message, std::string_view request_id,
             std::span<const Field> fields) const;

  std::shared_ptr<LogSink>
      sink_;  // shared: loggers live in many objects, the last one writes the rest out
  std::string name_;
  const std::atomic<Level>* level_ = nullptr;  // of sink_
};

// Starts the writer thread; it ends, everything written, with the last Logger.
Logger open_log(const LogOptions& options, std::string name = "sis");

}  // namespace sis::telemetry
