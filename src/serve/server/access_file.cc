#include "serve/server/access_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/file.h"
#include "base/strings.h"
#include "serve/server/catalog_tree.h"
#include "telemetry/json_text.h"

namespace sis::server {
namespace {

using admission::ApiKey;
using admission::RateLimits;

constexpr int64_t kLimitMax = 1'000'000'000'000;
constexpr size_t kPatternBytesMax = 256;
constexpr int64_t kEndpointBurst = 10;

// One mapping of a file, read member by member; knows where it stands.
class Reader {
 public:
  Reader(const Tree& map, std::string_view origin) : map_(map), origin_(origin) {}

  Error error(const Tree& at, std::string_view what) const {
    const int line = at.line > 0 ? at.line : map_.line;
    return {Code::kInvalidArgument, concat(origin_, " line ", line, ": ", what)};
  }
  Error error(std::string_view what) const { return error(map_, what); }

  // Only these members may be there. A member that nobody reads would be a limit that is not kept.
  Status know(std::initializer_list<std::string_view> names) const {
    if (map_.kind != Tree::Kind::kMap) return error("want a mapping");
    for (const TreeMember& member : map_.members)
      if (std::find(names.begin(), names.end(), member.key) == names.end())
        return error(member.value, concat("unknown field ", in_quotes(member.key),
                                          " (known: ", join_list(std::vector(names)), ")"));
    return {};
  }
  // Null when absent.
  Result<const std::string*> text(std::string_view name) const {
    const Tree* value = map_.find(name);
    if (!value || value->kind == Tree::Kind::kNull) return nullptr;
    if (value->kind != Tree::Kind::kScalar) return error(*value, concat(name, ": want a text"));
    return &value->scalar;
  }
  Status limit(std::string_view name, std::optional<int64_t>& out) const {
    SIS_ASSIGN(const std::string* value, text(name));
    if (!value) return {};
    auto number = parse_limit(name, *value);
    if (!number.ok()) return error(*map_.find(name), number.error().message);
    out = *number;
    return {};
  }
  Status limits(RateLimits& out) const {
    SIS_TRY(limit("rpm", out.rpm));
    SIS_TRY(limit("rph", out.rph));
    SIS_TRY(limit("burst", out.burst));
    SIS_TRY(limit("tokens_per_minute", out.tokens_per_minute));
    SIS_TRY(limit("concurrent", out.concurrent));
    if (out.burst && !out.rpm) return error("burst: comes on top of rpm, which is not given");
    return {};
  }
  Status patterns(std::string_view name, std::vector<std::string>& out) const {
    const Tree* list = map_.find(name);
    if (!list || list->kind == Tree::Kind::kNull) return {};
    // An empty list would allow everything to the machine and nothing to its reader.
    if (list->kind != Tree::Kind::kList || list->items.empty())
      return error(*list, concat(name, ": want a list of at least one name"));
    if (list->items.size() > admission::kPatternsMax)
      return error(*list, concat(name, ": ", list->items.size(), " names, want at most ",
                                 admission::kPatternsMax));
    for (const Tree& item : list->items) {
      const std::string& pattern = item.scalar;
      const bool plain = std::none_of(pattern.begin(), pattern.end(),
                                      [](unsigned char c) { return c < ' ' || c == 0x7F; });
      const size_t star = pattern.find('*');
      if (item.kind != Tree::Kind::kScalar || pattern.empty() || !plain ||
          pattern.size() > kPatternBytesMax || (star != pattern.npos && star + 1 != pattern.size()))
        return error(
            item, concat(name, ": want a name, a '*' only at its end, got ", in_quotes(pattern)));
      out.push_back(pattern);
    }
    return {};
  }
  Status time(std::string_view name, std::optional<int64_t>& out) const {
    SIS_ASSIGN(const std::string* value, text(name));
    if (!value) return {};
    auto seconds = parse_utc(*value);
    if (!seconds.ok()) return error(*map_.find(name), concat(name, ": ", seconds.error().message));
    out = *seconds;
    return {};
  }

 private:
  const Tree& map_;
  std::string_view origin_;
};

Result<ApiKey> read_key(const Tree& tree, std::string_view origin) {
  const Reader reader(tree, origin);
  SIS_TRY(reader.know({"name", "sha256", "rpm", "rph", "burst", "tokens_per_minute", "concurrent",
                       "priority", "models", "routes", "created", "expires"}));
  ApiKey key;
  SIS_ASSIGN(const std::string* name, reader.text("name"));
  if (!name || !admission::is_key_name(*name))
    return reader.error(concat("name: want 1 to 64 of A-Z a-z 0-9 . _ -, got ",
                               name ? in_quotes(*name) : std::string("none")));
  key.name = *name;
  SIS_ASSIGN(const std::string* hash, reader.text("sha256"));
  const auto parsed = hash ? admission::parse_sha256(*hash) : std::nullopt;
  if (!parsed)  // what stands there may be the key itself: not shown
    return reader.error(
        concat("sha256 of ", in_quotes(key.name), ": want 64 hexadecimal digits, got ",
               hash ? concat(hash->size(), " characters that are not") : std::string("none")));
  key.hash = *parsed;
  SIS_TRY(reader.limits(key.limits));
  SIS_ASSIGN(const std::string* priority, reader.text("priority"));
  if (priority) {
    const auto number = parse_int(*priority);
    if (!number || *number < -admission::kPriorityMax || *number > admission::kPriorityMax)
      return reader.error(concat("priority: want a whole number from ", -admission::kPriorityMax,
                                 " to ", admission::kPriorityMax, ", got ", in_quotes(*priority)));
    key.priority = static_cast<int>(*number);
  }
  SIS_TRY(reader.patterns("models", key.models));
  SIS_TRY(reader.patterns("routes", key.routes));
  std::optional<int64_t> created;
  SIS_TRY(reader.time("created", created));
  key.created_at = created.value_or(0);
  SIS_TRY(reader.time("expires", key.expires_at));
  return key;
}

Error system_error(const std::filesystem::path& path, const char* what) {
  return {Code::kInternal, concat(path.string(), ": ", what, ": ", std::strerror(errno))};
}

// Closed, and with it unlocked, at the end.
struct Descriptor {
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  const int fd;
};

Status write_file_whole(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path scratch = concat(path.string(), ".", ::getpid(), ".tmp");
  const auto fail = [&](const char* what) {
    const Error error = system_error(scratch, what);
    ::unlink(scratch.c_str());
    return error;
  };
  {
    const Descriptor file(
        ::open(scratch.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.fd < 0) return system_error(scratch, "cannot be made");
    for (size_t done = 0; done < text.size();) {
      const ssize_t count = ::write(file.fd, text.data() + done, text.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return fail("cannot be written");
      done += static_cast<size_t>(count);
    }
    if (::fsync(file.fd) != 0) return fail("cannot be written out");
  }
  if (::rename(scratch.c_str(), path.c_str()) != 0) return fail("cannot take its place");
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.fd >= 0) ::fsync(directory.fd);  // the file itself is safe either way
  return {};
}

}  // namespace

Result<int64_t> parse_limit(std::string_view name, std::string_view text) {
  const int64_t least = name == "burst" ? 0 : 1;
  const auto number = parse_int(text);
  if (!number || *number < least || *number > kLimitMax)
    return Error{Code::kInvalidArgument, concat(name, ": want a whole number from ", least, " to ",
                                                kLimitMax, ", got ", in_quotes(text))};
  return *number;
}

Result<int64_t> parse_utc(const std::string& text) {
  for (const char* form : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"}) {
    std::tm time = {};
    const char* end = strptime(text.c_str(), form, &time);
    if (!end || *end != '\0') continue;
    const std::tm asked = time;
    const std::time_t seconds = timegm(&time);  // carries what does not exist, such as 30 February
    if (time.tm_mday == asked.tm_mday && time.tm_mon == asked.tm_mon) return seconds;
  }
  return Error{Code::kInvalidArgument,
               concat("want a day such as 2027-01-31 or a time such as 2027-01-31T12:00:00Z, got ",
                      in_quotes(text))};
}

std::string utc_text(int64_t unix_seconds) {
  const std::time_t time = unix_seconds;
  std::tm parts = {};
  gmtime_r(&time, &parts);
  char text[40];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

Result<std::vector<ApiKey>> parse_keys(const std::string& text, std::string_view origin) {
  SIS_ASSIGN(const Tree tree, parse_yaml(text, origin));
  const Tree* list = &tree;
  if (tree.kind == Tree::Kind::kMap) {
    SIS_TRY(Reader(tree, origin).know({"keys"}));
    list = tree.find("keys");
  }
  std::vector<ApiKey> keys;
  if (!list || list->kind == Tree::Kind::kNull) return keys;
  if (list->kind != Tree::Kind::kList)
    return Reader(*list, origin).error("want `keys:` and a list of keys");
  for (const Tree& item : list->items) {
    SIS_ASSIGN(ApiKey key, read_key(item, origin));
    keys.push_back(std::move(key));
  }
  // The ring tells of doubles; it is not kept here.
  if (auto ring = admission::KeyRing::create(keys); !ring.ok())
    return prefixed(origin, std::move(ring).error());
  return keys;
}

std::string render_keys(const std::vector<ApiKey>& keys) {
  std::string out =
      "# API keys of sis: only their hashes. Written by `sis keys`, which drops comments; see\n"
      "# docs/api-keys.md. A running server reads it again on SIGHUP.\n"
      "keys:\n";
  if (keys.empty()) out.insert(out.size() - 1, " []");
  for (const ApiKey& key : keys) {
    const auto number = [&out](const char* name, const std::optional<int64_t>& value) {
      if (value) out += concat("    ", name, ": ", *value, "\n");
    };
    const auto list = [&out](const char* name, const std::vector<std::string>& items) {
      if (items.empty()) return;
      out += concat("    ", name, ": [");
      for (size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out += ", ";
        telemetry::append_json_string(out, items[i]);
      }
      out += "]\n";
    };
    out +=
        concat("  - name: \"", key.name, "\"\n    sha256: \"", admission::to_hex(key.hash), "\"\n");
    if (key.created_at) out += concat("    created: \"", utc_text(key.created_at), "\"\n");
    if (key.expires_at) out += concat("    expires: \"", utc_text(*key.expires_at), "\"\n");
    number("rpm", key.limits.rpm);
    number("rph", key.limits.rph);
    number("burst", key.limits.burst);
    number("tokens_per_minute", key.limits.tokens_per_minute);
    number("concurrent", key.limits.concurrent);
    if (key.priority) out += concat("    priority: ", key.priority, "\n");
    list("models", key.models);
    list("routes", key.routes);
  }
  return out;
}

Status change_keys_file(const std::filesystem::path& path,
                        const std::function<Status(std::vector<ApiKey>&)>& change) {
  // The lock is a file of its own: the keys' file is replaced, and a lock would go with it.
  const std::string lock_path = path.string() + ".lock";
  const Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.fd < 0) return system_error(lock_path, "cannot be opened");
  while (::flock(lock.fd, LOCK_EX) != 0)
    if (errno != EINTR) return system_error(lock_path, "cannot be locked");
  std::vector<ApiKey> keys;
  auto text = read_file(path, kYamlBytesMax);
  if (text.ok()) {
    SIS_ASSIGN(keys, parse_keys(*text, path.string()));
  } else if (text.error().code != Code::kNotFound) {
    return std::move(text).error();
  }
  SIS_TRY(change(keys));
  const std::string written = render_keys(keys);
  // What could not be read again must not replace what can.
  SIS_ASSIGN(const auto again, parse_keys(written, path.string()));
  if (again != keys) return Error{Code::kInternal, concat(path.string(), ": would read otherwise")};
  return write_file_whole(path, written);
}

Result<LimitsFile> parse_limits(const std::string& text, std::string_view origin) {
  SIS_ASSIGN(const Tree tree, parse_yaml(text, origin));
  LimitsFile file;
  if (tree.kind == Tree::Kind::kNull) return file;
  SIS_TRY(Reader(tree, origin).know({"default", "endpoints"}));
  if (const Tree* standing = tree.find("default");
      standing && standing->kind != Tree::Kind::kNull) {
    const Reader reader(*standing, origin);
    SIS_TRY(reader.know({"rpm", "rph", "burst", "tokens_per_minute", "concurrent"}));
    SIS_TRY(reader.limits(file.standing));
  }
  const Tree* endpoints = tree.find("endpoints");
  if (!endpoints || endpoints->kind == Tree::Kind::kNull) return file;
  if (endpoints->kind != Tree::Kind::kList)
    return Reader(*endpoints, origin).error("endpoints: want a list");
  if (endpoints->items.size() > kEndpointsMax)
    return Reader(*endpoints, origin)
        .error(concat("endpoints: ", endpoints->items.size(), ", want at most ", kEndpointsMax));
  for (const Tree& item : endpoints->items) {
    const Reader reader(item, origin);
    SIS_TRY(reader.know({"path", "rpm", "rph", "burst", "tokens_per_minute"}));
    EndpointLimits entry;
    SIS_ASSIGN(const std::string* path, reader.text("path"));
    const size_t star = path ? path->find('*') : std::string::npos;
    if (!path || !path->starts_with('/') || path->size() > kPatternBytesMax ||
        (star != path->npos && star + 1 != path->size()))
      return reader.error(concat("path: want a path such as /v1/infer or /v1/*, got ",
                                 path ? in_quotes(*path) : std::string("none")));
    entry.path = *path;
    for (const EndpointLimits& other : file.endpoints)
      if (other.path == entry.path)
        return reader.error(concat("path ", in_quotes(entry.path), " appears twice"));
    SIS_TRY(reader.limits(entry.limits));
    if (entry.limits == RateLimits{})
      return reader.error(concat("want rpm, rph or tokens_per_minute for ", in_quotes(entry.path)));
    if (entry.limits.rpm && !entry.limits.burst) entry.limits.burst = kEndpointBurst;
    file.endpoints.push_back(std::move(entry));
  }
  return file;
}

}  // namespace sis::server
