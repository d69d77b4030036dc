#include "serve/server/access_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/rng.h"
#include "base/strings.h"

namespace sis::server {
namespace {

using admission::ApiKey;

const std::string kHash = admission::to_hex(admission::sha256("one"));
const std::string kOther = admission::to_hex(admission::sha256("two"));

std::string fault_of(const std::string& text) {
  const auto keys = parse_keys(text, "keys.yaml");
  return keys.ok() ? "" : keys.error().message;
}

TEST(KeysFile, IsReadInEveryForm) {
  const auto keys = parse_keys(concat("keys:\n  - name: alice\n    sha256: ", kHash,
                                      "\n    rpm: 60\n    burst: 0\n    priority: -5\n"
                                      "    models: [demo/chat, 'Qwen/*']\n"
                                      "    expires: 2027-01-31\n  - {name: bob, sha256: ",
                                      kOther, "}\n"),
                               "keys.yaml");
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  ASSERT_EQ(keys->size(), 2u);
  const ApiKey& alice = (*keys)[0];
  EXPECT_EQ(alice.hash, admission::sha256("one"));
  EXPECT_EQ(alice.limits.rpm, 60);
  EXPECT_EQ(alice.limits.burst, 0);
  EXPECT_EQ(alice.priority, -5);
  EXPECT_EQ(alice.models.size(), 2u);
  EXPECT_EQ(utc_text(*alice.expires_at), "2027-01-31T00:00:00Z");
  const auto json = parse_keys(concat(R"([{"name":"x","sha256":")", kHash, R"("}])"), "API_KEYS");
  ASSERT_TRUE(json.ok()) << json.error().message;
  EXPECT_EQ(json->size(), 1u);
  for (const char* empty : {"", "keys:\n", "keys: []", "[]"})
    EXPECT_TRUE(parse_keys(empty, "k").ok() && parse_keys(empty, "k")->empty()) << empty;
}

// Every fault names its line and what was found, and none repeats what may be a key.
TEST(KeysFile, FaultsNameTheirLine) {
  const std::string head = "keys:\n  - name: alice\n    sha256: " + kHash + "\n";
  const auto names = [&](const std::string& text, const std::string& line,
                         const std::string& word) {
    const std::string fault = fault_of(text);
    EXPECT_TRUE(fault.starts_with("keys.yaml line " + line + ": ")) << fault;
    EXPECT_NE(fault.find(word), std::string::npos) << fault;
  };
  names(head + "    rmp: 5\n", "4", "rmp");
  names(head + "    rpm: many\n", "4", "many");
  names(head + "    rpm: 0\n", "4", "from 1");
  names(head + "    rpm: -3\n", "4", "-3");
  names(head + "    burst: 3\n", "2", "rpm");
  names(head + "    priority: 101\n", "2", "101");
  names(head + "    priority: -9223372036854775808\n", "2", "-9223372036854775808");
  names(head + "    models: []\n", "4", "models");
  names(head + "    models: all\n", "4", "models");
  names(head + "    models: ['a*b']\n", "4", "a*b");
  names(head + "    expires: soon\n", "4", "soon");
  names(head + "    expires: 2027-02-30\n", "4", "2027-02-30");
  names("keys:\n  - sha256: " + kHash + "\n", "2", "name");
  names("keys:\n  - name: 'a b'\n    sha256: " + kHash + "\n", "2", "a b");
  names("keys:\n  - name: a\n", "2", "none");
  names("keys:\n  - alice\n", "2", "mapping");
  names("key:\n  - alice\n", "2", "unknown field");
  names("keys: {a: 1}\n", "1", "list");
  const std::string secret = fault_of("keys:\n  - name: a\n    sha256: sk-sis-mysecret\n");
  EXPECT_NE(secret.find("line 2"), std::string::npos) << secret;
  EXPECT_EQ(secret.find("mysecret"), std::string::npos) << secret;
  EXPECT_NE(fault_of(head + "  - name: alice\n    sha256: " + kOther + "\n"), "");
  EXPECT_NE(fault_of(head + "  - name: bob\n    sha256: " + kHash + "\n"), "");
  EXPECT_NE(fault_of(std::string(2 << 20, '#')), "");
  EXPECT_NE(fault_of("keys: \xff"), "");
}

// Random keys written and read again are the same keys.
TEST(KeysFile, IsWrittenAsItIsRead) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    const auto maybe = [&](std::optional<int64_t>& value) {
      if (rng.below(2)) value = 1 + static_cast<int64_t>(rng.below(1000000));
    };
    std::vector<ApiKey> keys(rng.below(8));
    for (size_t i = 0; i < keys.size(); ++i) {
      ApiKey& key = keys[i];
      key.name = concat("k.", i, "_-");
      key.hash = admission::sha256(concat(seed, i));
      maybe(key.limits.rpm);
      maybe(key.limits.rph);
      if (key.limits.rpm) maybe(key.limits.burst);
      maybe(key.limits.tokens_per_minute);
      maybe(key.limits.concurrent);
      key.priority = static_cast<int>(rng.below(201)) - 100;
      if (rng.below(2)) key.models = {"a/b \"c\" \\ d: #x", "Qwen/*", "ü"};
      if (rng.below(2)) key.routes = {"/v1/*"};
      if (rng.below(2)) key.created_at = 1 + static_cast<int64_t>(rng.below(4000000000));
      if (rng.below(2)) key.expires_at = static_cast<int64_t>(rng.below(4000000000));
    }
    const auto again = parse_keys(render_keys(keys), "k");
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(*again, keys) << render_keys(keys);
  }
}

class KeysFolder : public testing::Test {
 protected:
  KeysFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sis_keys_XXXXXX").string();
    folder = mkdtemp(name.data());
  }
  ~KeysFolder() override { std::filesystem::remove_all(folder); }
  std::filesystem::path folder;
};

Status add_key(const std::filesystem::path& path, const std::string& name) {
  return change_keys_file(path, [&](std::vector<ApiKey>& keys) -> Status {
    ApiKey key;
    key.name = name;
    key.hash = admission::sha256(name);
    keys.push_back(key);
    return {};
  });
}

// Many writers at once lose nothing; the file is its owner's alone and nothing is left beside it.
TEST_F(KeysFolder, WritersDoNotLoseEachOthersKeys) {
  const auto path = folder / "keys.yaml";
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 4; ++writer)
    writers.emplace_back([&, writer] {
      for (int i = 0; i < 10; ++i) {
        const auto status = add_key(path, concat("w", writer, ".", i));
        EXPECT_TRUE(status.ok()) << status.error().message;
      }
    });
  for (auto& writer : writers) writer.join();
  const auto text = read_file(path, 1 << 20);
  ASSERT_TRUE(text.ok());
  const auto keys = parse_keys(*text, "k");
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(keys->size(), 40u);
  struct stat facts = {};
  ASSERT_EQ(stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++files;
  EXPECT_EQ(files, 2u);  // the keys and the lock
}

TEST_F(KeysFolder, AFaultLeavesTheFileAlone) {
  const auto path = folder / "keys.yaml";
  std::ofstream(path) << "keys: nonsense\n";
  EXPECT_FALSE(add_key(path, "a").ok());
  EXPECT_EQ(*read_file(path, 100), "keys: nonsense\n");
  std::ofstream(path, std::ios::trunc) << "keys: []\n";
  EXPECT_FALSE(add_key(path, "not a name").ok());
  EXPECT_EQ(*read_file(path, 100), "keys: []\n");
  EXPECT_FALSE(add_key(folder / "nowhere" / "keys.yaml", "a").ok());
}

TEST(LimitsFile, IsReadWithTheEndpointsBurst) {
  const auto file = parse_limits(
      "default: {rpm: 600, concurrent: 8}\n"
      "endpoints:\n  - {path: /v1/infer, rpm: 500, rph: 50000}\n  - {path: '/v1/*', rpm: 5, burst: "
      "0}\n",
      "limits.yaml");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->standing.rpm, 600);
  EXPECT_EQ(file->standing.concurrent, 8);
  ASSERT_EQ(file->endpoints.size(), 2u);
  EXPECT_EQ(file->endpoints[0].limits.burst, 10);
  EXPECT_EQ(file->endpoints[1].limits.burst, 0);
  EXPECT_TRUE(parse_limits("", "l").ok());
}

TEST(LimitsFile, FaultsNameTheirLine) {
  const std::pair<const char*, const char*> faults[] = {
      {"defaults: {}\n", "line 1: unknown field"},
      {"default:\n  rpm: 0\n", "line 2: rpm"},
      {"endpoints: {}\n", "line 1: endpoints"},
      {"endpoints:\n  - {path: v1, rpm: 1}\n", "line 2: path"},
      {"endpoints:\n  - {path: '/a*b', rpm: 1}\n", "line 2: path"},
      {"endpoints:\n  - {path: /a}\n", "line 2: want rpm"},
      {"endpoints:\n  - {path: /a, rpm: 1}\n  - {path: /a, rpm: 2}\n", "line 3: path"},
      {"endpoints:\n  - {path: /a, concurrent: 1}\n", "line 2: unknown field"},
      {"- a\n", "line 1: want a mapping"},
      {"default: {rpm: 1\n", "line "},
  };
  for (const auto& [text, words] : faults) {
    const auto file = parse_limits(text, "limits.yaml");
    ASSERT_FALSE(file.ok()) << text;
    EXPECT_NE(file.error().message.find(words), std::string::npos) << file.error().message;
  }
  std::string many = "endpoints:\n";
  for (size_t i = 0; i <= kEndpointsMax; ++i) many += concat("  - {path: /", i, ", rpm: 1}\n");
  EXPECT_FALSE(parse_limits(many, "l").ok());
}

}  // namespace
}  // namespace sis::server
