// The messages between a Locust worker and its master (Locust 2.x): MessagePack arrays of type,
// data and node id.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "perf/locust/msgpack.h"

namespace sis::perf {

struct MasterMessage {
  std::string type;  // "ack", "spawn", "stop", "quit", ...
  std::string data;  // as JSON
};
// Errors: not an array of three, or the type is no text.
Result<MasterMessage> parse_master_message(std::string_view bytes);

// How many users of each class this worker is to have from now on.
struct SpawnOrder {
  double timestamp = 0;
  std::map<std::string, int> users;
  std::string host;  // empty: not given
  Duration stop_timeout{};
};
Result<SpawnOrder> parse_spawn(std::string_view data);

enum class WorkerState : uint8_t { kReady, kSpawning, kRunning, kCleanup, kStopped };
const char* state_name(WorkerState state);  // as the master knows them

// Whole messages of node `id`.
std::string client_ready_message(std::string_view id);
std::string plain_message(std::string_view type, std::string_view id);  // without data
std::string heartbeat_message(std::string_view id, WorkerState state, double cpu_percent,
                              uint64_t memory_bytes);
std::string spawning_complete_message(std::string_view id, const std::map<std::string, int>& users);
std::string exception_message(std::string_view id, std::string_view message,
                              std::string_view where);
std::string logs_message(std::string_view id, const std::vector<std::string>& lines);

}  // namespace sis::perf
