// What is written is read again; vectors of the format's description; what is cut or lies is
// refused.
#include "perf/locust/msgpack.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sis::perf {
namespace {

using nlohmann::json;

json read(std::string_view bytes) {
  auto value = parse_msgpack(bytes);
  EXPECT_TRUE(value.ok()) << (value.ok() ? "" : value.error().message);
  return value.ok() ? *value : json();
}

TEST(Msgpack, NumbersOfEverySizeComeBack) {
  for (const int64_t value :
       {int64_t{0}, int64_t{1}, int64_t{127}, int64_t{128}, int64_t{255}, int64_t{256},
        int64_t{65535}, int64_t{65536}, int64_t{4294967295}, int64_t{4294967296}, INT64_MAX,
        int64_t{-1}, int64_t{-32}, int64_t{-33}, int64_t{-70000}, INT64_MIN}) {
    MsgpackWriter out;
    out.integer(value);
    EXPECT_EQ(read(out.bytes()).get<int64_t>(), value);
  }
  for (const double value : {0.0, -1.5, 1e300, 1732226864.25}) {
    MsgpackWriter out;
    out.number(value);
    EXPECT_EQ(read(out.bytes()).get<double>(), value);
  }
}

TEST(Msgpack, TextsListsAndMapsOfEverySizeComeBack) {
  for (const size_t size : {size_t{0}, size_t{31}, size_t{32}, size_t{65535}, size_t{70000}}) {
    MsgpackWriter out;
    out.text(std::string(size, 'x'));
    EXPECT_EQ(read(out.bytes()).get<std::string>().size(), size);
  }
  for (const size_t size : {size_t{0}, size_t{15}, size_t{16}, size_t{70000}}) {
    MsgpackWriter out;
    out.array(size);
    for (size_t i = 0; i < size; ++i) out.nil();
    EXPECT_EQ(read(out.bytes()).size(), size);
  }
  MsgpackWriter out;
  out.map(40);
  for (int i = 0; i < 40; ++i) out.integer(i * 10), out.count(7);
  const json map = read(out.bytes());
  EXPECT_EQ(map.size(), 40u);
  EXPECT_EQ(map["390"], 7);  // keys that are numbers become text
}

// As msgpack.dumps of Python writes it.
TEST(Msgpack, ReadsWhatPythonWrites) {
  using namespace std::string_view_literals;
  // ("spawn", {"timestamp": 1.5, "user_classes_count": {"A": 3}, "host": None, "x": True}, "me")
  const auto bytes =
      "\x93\xa5spawn\x84\xa9timestamp\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xb2user_classes_"
      "count\x81\xa1"
      "A\x03\xa4host\xc0\xa1x\xc3\xa2me"sv;
  const json message = read(bytes);
  EXPECT_EQ(message[0], "spawn");
  EXPECT_EQ(message[1]["timestamp"], 1.5);
  EXPECT_EQ(message[1]["user_classes_count"]["A"], 3);
  EXPECT_TRUE(message[1]["host"].is_null());
  EXPECT_EQ(message[1]["x"], true);
  EXPECT_EQ(message[2], "me");
  EXPECT_EQ(read("\xca\x40\x20\x00\x00"sv), 2.5);  // float 32
  EXPECT_EQ(read("\xd1\xff\x00"sv), -256);         // int 16
  EXPECT_EQ(read("\xc4\x02hi"sv), "hi");           // raw bytes
  EXPECT_TRUE(read("\xd4\x01\x02"sv).is_null());   // an extension
  EXPECT_EQ(read("\xa2\xff\xfe"sv), "??");         // not UTF-8
}

TEST(Msgpack, RefusesWhatIsCutOrLies) {
  using namespace std::string_view_literals;
  for (const auto bytes : {""sv, "\xa5hi"sv, "\x93\x01"sv, "\x81\x01"sv, "\xcb\x00"sv, "\xc1"sv,
                           "\x01\x02"sv, "\xdd\xff\xff\xff\xff"sv, "\xdf\xff\xff\xff\xff"sv,
                           "\xdb\xff\xff\xff\xff"sv, "\xc9\xff\xff\xff\xff"sv, "\x81\x90\x01"sv})
    EXPECT_FALSE(parse_msgpack(bytes).ok()) << testing::PrintToString(std::string(bytes));
  EXPECT_NE(parse_msgpack(std::string(100000, '\x91')).error().message.find("nested deeper"),
            std::string::npos);
  MsgpackWriter many;
  many.array(kMsgpackValuesMax + 1);
  for (int i = 0; i <= kMsgpackValuesMax; ++i) many.nil();
  EXPECT_NE(parse_msgpack(many.bytes()).error().message.find("more than"), std::string::npos);
}

// Every cut of a right message is refused, every changed byte is survived.
TEST(Msgpack, SurvivesDamage) {
  MsgpackWriter out;
  out.array(3);
  out.text("spawn");
  out.map(2);
  out.text("timestamp"), out.number(12.5);
  out.text("users"), out.map(1), out.text("A"), out.integer(-5);
  out.text("node");
  const std::string whole = out.bytes();
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(parse_msgpack(std::string_view(whole).substr(0, size)).ok()) << size;
  int read_anyway = 0;
  for (size_t at = 0; at < whole.size(); ++at)
    for (int byte = 0; byte < 256; ++byte) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(byte);
      read_anyway += parse_msgpack(damaged).ok();
    }
  EXPECT_GT(read_anyway, 256);
}

}  // namespace
}  // namespace sis::perf
