#include "perf/locust/protocol.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr int64_t kUsersMax = 1'000'000;
constexpr size_t kClassesMax = 1000;

MsgpackWriter begin(std::string_view type) {
  MsgpackWriter out;
  out.array(3);
  out.text(type);
  return out;
}

std::string finished(MsgpackWriter& out, std::string_view id) {
  out.text(id);
  return out.bytes();
}

Error wrong(std::string_view what) {
  return Error{Code::kInvalidArgument, concat("message of the master: ", what)};
}

}  // namespace

const char* state_name(WorkerState state) {
  switch (state) {
    case WorkerState::kReady:
      return "ready";
    case WorkerState::kSpawning:
      return "spawning";
    case WorkerState::kRunning:
      return "running";
    case WorkerState::kCleanup:
      return "cleanup";
    case WorkerState::kStopped:
      return "stopped";
  }
  return "stopped";
}

Result<MasterMessage> parse_master_message(std::string_view bytes) {
  SIS_ASSIGN(const nlohmann::json message, parse_msgpack(bytes));
  if (!message.is_array() || message.size() != 3 || !message[0].is_string())
    return wrong("want an array of type, data and node id");
  return MasterMessage{.type = message[0].get<std::string>(), .data = message[1].dump()};
}

Result<SpawnOrder> parse_spawn(std::string_view data) {
  const auto json = nlohmann::json::parse(data, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return wrong("spawn: want a map");
  SpawnOrder out;
  const auto timestamp = json.find("timestamp");
  if (timestamp == json.end() || !timestamp->is_number())
    return wrong("spawn: want a number 'timestamp'");
  out.timestamp = timestamp->get<double>();
  const auto users = json.find("user_classes_count");
  if (users == json.end() || !users->is_object() || users->size() > kClassesMax)
    return wrong(concat("spawn: want a map 'user_classes_count' of at most ", kClassesMax));
  for (const auto& [name, count] : users->items()) {
    if (!count.is_number_integer() || count.get<int64_t>() < 0 || count.get<int64_t>() > kUsersMax)
      return wrong(concat("spawn: want 0..", kUsersMax, " users of ", in_quotes(name)));
    out.users[name] = count.get<int>();
  }
  if (const auto host = json.find("host"); host != json.end() && host->is_string())
    out.host = host->get<std::string>();
  if (const auto timeout = json.find("stop_timeout");
      timeout != json.end() && timeout->is_number()) {
    const double seconds = timeout->get<double>();
    if (seconds > 0) out.stop_timeout = from_seconds(std::min(seconds, 86400.0));
  }
  return out;
}

std::string client_ready_message(std::string_view id) {
  MsgpackWriter out = begin("client_ready");
  out.integer(-1);  // instead of a version: no check of it
  return finished(out, id);
}

std::string plain_message(std::string_view type, std::string_view id) {
  MsgpackWriter out = begin(type);
  out.nil();
  return finished(out, id);
}

std::string heartbeat_message(std::string_view id, WorkerState state, double cpu_percent,
                              uint64_t memory_bytes) {
  MsgpackWriter out = begin("heartbeat");
  out.map(3);
  out.text("state"), out.text(state_name(state));
  out.text("current_cpu_usage"), out.number(cpu_percent);
  out.text("current_memory_usage"), out.count(memory_bytes);
  return finished(out, id);
}

std::string spawning_complete_message(std::string_view id,
                                      const std::map<std::string, int>& users) {
  MsgpackWriter out = begin("spawning_complete");
  out.map(2);
  int64_t sum = 0;
  out.text("user_classes_count"), out.map(users.size());
  for (const auto& [name, count] : users) {
    out.text(name), out.integer(count);
    sum += count;
  }
  out.text("user_count"), out.integer(sum);
  return finished(out, id);
}

std::string exception_message(std::string_view id, std::string_view message,
                              std::string_view where) {
  MsgpackWriter out = begin("exception");
  out.map(2);
  out.text("msg"), out.text(message);
  out.text("traceback"), out.text(where);
  return finished(out, id);
}

std::string logs_message(std::string_view id, const std::vector<std::string>& lines) {
  MsgpackWriter out = begin("logs");
  out.map(2);
  out.text("worker_id"), out.text(id);
  out.text("logs"), out.array(lines.size());
  for (const auto& line : lines) out.text(line);
  return finished(out, id);
}

}  // namespace sis::perf
