#include "perf/gate/history.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "base/utc.h"
#include "perf/report/machine.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr uintmax_t kFileBytesMax = uintmax_t{64} << 20;
constexpr size_t kLabelBytesMax = 200;

fs::path file_of(const std::string& directory) { return fs::path(directory) / "history.jsonl"; }

Error cannot(const char* what, const fs::path& path) {
  return Error{Code::kInternal, concat("cannot ", what, " ", path.string(), ": ", strerror(errno))};
}

// Held while the file is read and written.
class Lock {
 public:
  static Result<Lock> take(const std::string& directory) {
    std::error_code error;
    fs::create_directories(directory, error);
    if (error)
      return Error{Code::kInternal, concat("cannot make ", directory, ": ", error.message())};
    const fs::path path = fs::path(directory) / "lock";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return cannot("open", path);
    Lock lock(fd);
    while (::flock(fd, LOCK_EX) != 0)
      if (errno != EINTR) return cannot("lock", path);
    return lock;
  }
  Lock(Lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Lock& operator=(Lock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Lock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit Lock(int fd) : fd_(fd) {}
  int fd_;
};

Json conditions_json(const Conditions& conditions) {
  Json out = Json::object();
  for (const auto& [name, value] : conditions) out[name] = value;
  return out;
}

const char* state_name(SampleState state) {
  switch (state) {
    case SampleState::kUsable:
      return "usable";
    case SampleState::kInterrupted:
      return "interrupted";
    case SampleState::kFailed:
      return "failed";
  }
  return "?";
}

std::string line_of(const HistoryEntry& entry) {
  const RunSample& sample = entry.sample;
  Json out;
  out["id"] = entry.id;
  out["recorded"] = entry.recorded;
  if (!entry.label.empty()) out["label"] = entry.label;
  out["good"] = entry.good;
  out["group"] = sample.group;
  out["state"] = state_name(sample.state);
  if (sample.generator_saturated) out["generator_saturated"] = true;
  out["started"] = sample.started;
  out["conditions"] = conditions_json(sample.conditions);
  out["machine"] = conditions_json(sample.machine);
  out["remarks"] = conditions_json(sample.remarks);
  out["figures"] = Json::object();
  for (const auto& [name, value] : sample.figures) out["figures"][name] = value;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Conditions conditions_from(const Json& line, const char* key) {
  Conditions out;
  if (const auto found = line.find(key); found != line.end() && found->is_object())
    for (const auto& [name, value] : found->items())
      if (value.is_string()) out.emplace_back(name, value.get<std::string>());
  return out;
}

std::string text_from(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool flag_from(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_boolean() && found->get<bool>();
}

Status take_line(const std::string& text, const std::string& place,
                 std::vector<HistoryEntry>& entries) {
  const Json line = Json::parse(text, nullptr, false);
  const auto wrong = [&](const char* what) {
    return Error{Code::kInvalidArgument, concat(place, ": ", what)};
  };
  if (!line.is_object()) return wrong("want a JSON object");
  if (const auto retracted = line.find("retract"); retracted != line.end()) {
    if (!retracted->is_number_integer()) return wrong("want the id of an entry in \"retract\"");
    for (HistoryEntry& entry : entries)
      if (entry.id == retracted->get<int64_t>()) entry.good = false;
    return {};
  }
  const auto id = line.find("id");
  if (id == line.end() || !id->is_number_integer()) return wrong("want an \"id\"");
  const auto figures = line.find("figures");
  if (figures == line.end() || !figures->is_object()) return wrong("want \"figures\"");
  HistoryEntry entry{.id = id->get<int64_t>(),
                     .recorded = text_from(line, "recorded"),
                     .label = text_from(line, "label"),
                     .good = flag_from(line, "good")};
  RunSample& sample = entry.sample;
  sample.group = text_from(line, "group");
  if (sample.group.empty()) return wrong("want a \"group\"");
  const std::string state = text_from(line, "state");
  sample.state = state == "failed"        ? SampleState::kFailed
                 : state == "interrupted" ? SampleState::kInterrupted
                                          : SampleState::kUsable;
  sample.generator_saturated = flag_from(line, "generator_saturated");
  sample.started = text_from(line, "started");
  sample.conditions = conditions_from(line, "conditions");
  sample.machine = conditions_from(line, "machine");
  sample.remarks = conditions_from(line, "remarks");
  sample.origin = place;
  for (const auto& [name, value] : figures->items())
    if (value.is_number()) sample.figures[name] = value.get<double>();
  entries.push_back(std::move(entry));
  return {};
}

Status write_all(const fs::path& path, const std::string& text, const char* mode) {
  std::FILE* file = std::fopen(path.c_str(), mode);
  if (file == nullptr) return cannot("open", path);
  bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  written = std::fflush(file) == 0 && ::fsync(fileno(file)) == 0 && written;
  written = std::fclose(file) == 0 && written;
  if (!written) return cannot("write", path);
  return {};
}

// A writer that was stopped in the middle of its last line must not spoil the next one: the line is
// ended if it is whole, and dropped if nothing can be read of it.
Status mend(const std::string& directory) {
  const fs::path path = file_of(directory);
  const auto text = read_file(path, kFileBytesMax);
  if (!text.ok() || text->empty() || text->ends_with('\n')) return {};
  const size_t last = text->rfind('\n') == std::string::npos ? 0 : text->rfind('\n') + 1;
  if (Json::parse(text->substr(last), nullptr, false).is_object())
    return write_all(path, "\n", "ab");
  std::error_code error;
  fs::resize_file(path, last, error);
  if (error)
    return Error{Code::kInternal, concat("cannot cut ", path.string(), ": ", error.message())};
  return {};
}

// Drops the oldest entries; what was retracted is written as such.
Status prune(const HistoryOptions& options) {
  SIS_ASSIGN(std::vector<HistoryEntry> entries, read_history(options.directory));
  if (entries.size() <= options.keep) return {};
  entries.erase(entries.begin(), entries.end() - static_cast<ptrdiff_t>(options.keep));
  std::string text;
  for (const HistoryEntry& entry : entries) text += line_of(entry);
  const fs::path path = file_of(options.directory);
  const fs::path scratch = path.string() + ".new";
  SIS_TRY(write_all(scratch, text, "wb"));
  std::error_code error;
  fs::rename(scratch, path, error);
  if (error)
    return Error{Code::kInternal, concat("cannot replace ", path.string(), ": ", error.message())};
  return {};
}

}  // namespace

Result<std::vector<HistoryEntry>> read_history(const std::string& directory) {
  const fs::path path = file_of(directory);
  auto text = read_file(path, kFileBytesMax);
  if (!text.ok() && text.error().code == Code::kNotFound) return std::vector<HistoryEntry>();
  if (!text.ok()) return std::move(text).error();
  std::vector<HistoryEntry> entries;
  size_t number = 0;
  for (size_t begin = 0; begin < text->size();) {
    const size_t end = std::min(text->find('\n', begin), text->size());
    const std::string line = text->substr(begin, end - begin);
    const bool whole = end < text->size();
    begin = end + 1;
    ++number;
    if (trim(line).empty()) continue;
    const Status taken = take_line(line, fmt::format("{} line {}", path.string(), number), entries);
    if (taken.ok()) continue;
    if (!whole) break;  // a writer was stopped in the middle of its last line
    return taken.error();
  }
  return entries;
}

Result<std::vector<int64_t>> record_history(const HistoryOptions& options,
                                            const std::vector<RunSample>& samples,
                                            const std::string& label, bool good) {
  if (label.size() > kLabelBytesMax)
    return Error{Code::kInvalidArgument,
                 concat("--label: want at most ", kLabelBytesMax, " bytes, got ", label.size())};
  SIS_ASSIGN(const Lock lock, Lock::take(options.directory));
  SIS_ASSIGN(const std::vector<HistoryEntry> entries, read_history(options.directory));
  int64_t id = 0;
  for (const HistoryEntry& entry : entries) id = std::max(id, entry.id);
  std::vector<int64_t> ids;
  std::string text;
  for (const RunSample& sample : samples) {
    HistoryEntry entry{.id = ++id, .recorded = utc_now(), .label = label, .good = good};
    entry.sample = sample;
    entry.good = good && sample.state == SampleState::kUsable;
    text += line_of(entry);
    ids.push_back(id);
  }
  SIS_TRY(mend(options.directory));
  SIS_TRY(write_all(file_of(options.directory), text, "ab"));
  SIS_TRY(prune(options));
  return ids;
}

Status retract_history(const HistoryOptions& options, int64_t id) {
  SIS_ASSIGN(const Lock lock, Lock::take(options.directory));
  SIS_ASSIGN(const std::vector<HistoryEntry> entries, read_history(options.directory));
  if (std::none_of(entries.begin(), entries.end(),
                   [&](const HistoryEntry& entry) { return entry.id == id; }))
    return Error{Code::kNotFound,
                 concat(file_of(options.directory).string(), ": there is no entry ", id)};
  SIS_TRY(mend(options.directory));
  return write_all(file_of(options.directory), fmt::format("{{\"retract\":{}}}\n", id), "ab");
}

std::vector<RunSample> last_good(const std::vector<HistoryEntry>& entries, size_t count) {
  std::map<std::string, size_t> taken;
  std::vector<RunSample> out;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry)
    if (entry->good && taken[entry->sample.group]++ < count) out.push_back(entry->sample);
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace sis::perf
