#include "perf/locust/msgpack.h"

#include <bit>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sis::perf {
namespace {

using Json = nlohmann::json;

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  Result<Json> whole() {
    SIS_ASSIGN(Json value, read(0));
    if (at_ != bytes_.size()) return fault(concat(bytes_.size() - at_, " bytes are left over"));
    return value;
  }

 private:
  Error fault(std::string_view what) const {
    return Error{Code::kInvalidArgument, concat("MessagePack, byte ", at_, ": ", what)};
  }

  Result<uint64_t> big_endian(int bytes) {
    if (bytes_.size() - at_ < static_cast<size_t>(bytes)) return fault("ends too early");
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | static_cast<uint8_t>(bytes_[at_++]);
    return value;
  }

  Result<Json> text(uint64_t size) {
    if (bytes_.size() - at_ < size) return fault("a text ends too early");
    const std::string_view value = bytes_.substr(at_, size);
    at_ += size;
    if (is_utf8(value)) return Json(std::string(value));
    std::string clean(value);
    for (char& c : clean)
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    return Json(std::move(clean));
  }

  Result<Json> array(uint64_t items, int depth) {
    // Every item takes a byte at least: a size beyond that is a lie and books nothing.
    if (items > bytes_.size() - at_) return fault(concat("an array of ", items, " ends too early"));
    Json out = Json::array();
    for (uint64_t i = 0; i < items; ++i) {
      SIS_ASSIGN(Json item, read(depth + 1));
      out.push_back(std::move(item));
    }
    return out;
  }

  Result<Json> map(uint64_t pairs, int depth) {
    if (pairs > (bytes_.size() - at_) / 2)
      return fault(concat("a map of ", pairs, " ends too early"));
    Json out = Json::object();
    for (uint64_t i = 0; i < pairs; ++i) {
      SIS_ASSIGN(Json key, read(depth + 1));
      if (key.is_structured()) return fault("want text or a number as the key of a map");
      SIS_ASSIGN(Json value, read(depth + 1));
      out[key.is_string() ? key.get<std::string>() : key.dump()] = std::move(value);
    }
    return out;
  }

  Result<Json> extension(uint64_t size) {
    if (bytes_.size() - at_ < size + 1) return fault("an extension ends too early");
    at_ += size + 1;
    return Json(nullptr);
  }

  Result<Json> read(int depth) {
    if (depth > kMsgpackDepthMax) return fault(concat("nested deeper than ", kMsgpackDepthMax));
    if (++values_ > kMsgpackValuesMax)
      return fault(concat("more than ", kMsgpackValuesMax, " values"));
    SIS_ASSIGN(const uint64_t tag, big_endian(1));
    if (tag < 0x80) return Json(tag);
    if (tag >= 0xe0) return Json(static_cast<int64_t>(tag) - 256);
    if (tag < 0x90) return map(tag & 0x0f, depth);
    if (tag < 0xa0) return array(tag & 0x0f, depth);
    if (tag < 0xc0) return text(tag & 0x1f);
    switch (tag) {
      case 0xc0:
        return Json(nullptr);
      case 0xc2:
        return Json(false);
      case 0xc3:
        return Json(true);
      case 0xca: {
        SIS_ASSIGN(const uint64_t bits, big_endian(4));
        return Json(static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bits))));
      }
      case 0xcb: {
        SIS_ASSIGN(const uint64_t bits, big_endian(8));
        return Json(std::bit_cast<double>(bits));
      }
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf: {
        SIS_ASSIGN(const uint64_t value, big_endian(1 << (tag - 0xcc)));
        return Json(value);
      }
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3: {
        const int size = 1 << (tag - 0xd0);
        SIS_ASSIGN(const uint64_t value, big_endian(size));
        const int unused = 64 - 8 * size;
        return Json(static_cast<int64_t>(value << unused) >> unused);
      }
      case 0xc4:
      case 0xc5:
      case 0xc6: {
        SIS_ASSIGN(const uint64_t size, big_endian(1 << (tag - 0xc4)));
        return text(size);
      }
      case 0xd9:
      case 0xda:
      case 0xdb: {
        SIS_ASSIGN(const uint64_t size, big_endian(1 << (tag - 0xd9)));
        return text(size);
      }
      case 0xdc:
      case 0xdd: {
        SIS_ASSIGN(const uint64_t items, big_endian(2 << (tag - 0xdc)));
        return array(items, depth);
      }
      case 0xde:
      case 0xdf: {
        SIS_ASSIGN(const uint64_t pairs, big_endian(2 << (tag - 0xde)));
        return map(pairs, depth);
      }
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return extension(uint64_t{1} << (tag - 0xd4));
      case 0xc7:
      case 0xc8:
      case 0xc9: {
        SIS_ASSIGN(const uint64_t size, big_endian(1 << (tag - 0xc7)));
        return extension(size);
      }
      default:
        return fault(concat("no type ", tag));
    }
  }

  std::string_view bytes_;
  size_t at_ = 0;
  int values_ = 0;
};

}  // namespace

void MsgpackWriter::big_endian(uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) bytes_ += static_cast<char>(value >> (8 * i));
}

void MsgpackWriter::sized(size_t size, char fix, size_t fix_max, char tag16, char tag32) {
  if (size <= fix_max) {
    bytes_ += static_cast<char>(static_cast<unsigned char>(fix) | size);
  } else if (size <= 0xffff) {
    bytes_ += tag16;
    big_endian(size, 2);
  } else {
    bytes_ += tag32;
    big_endian(size, 4);
  }
}

void MsgpackWriter::array(size_t items) { sized(items, '\x90', 15, '\xdc', '\xdd'); }
void MsgpackWriter::map(size_t pairs) { sized(pairs, '\x80', 15, '\xde', '\xdf'); }

void MsgpackWriter::text(std::string_view value) {
  std::string clean;
  if (!is_utf8(value)) {
    clean = value;
    for (char& c : clean)
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    value = clean;
  }
  sized(value.size(), '\xa0', 31, '\xda', '\xdb');
  bytes_ += value;
}

void MsgpackWriter::integer(int64_t value) {
  if (value >= 0) return count(static_cast<uint64_t>(value));
  if (value >= -32) {
    bytes_ += static_cast<char>(value);
    return;
  }
  bytes_ += '\xd3';
  big_endian(static_cast<uint64_t>(value), 8);
}

void MsgpackWriter::count(uint64_t value) {
  if (value < 0x80) {
    bytes_ += static_cast<char>(value);
  } else if (value <= 0xffff) {
    bytes_ += '\xcd';
    big_endian(value, 2);
  } else if (value <= 0xffffffff) {
    bytes_ += '\xce';
    big_endian(value, 4);
  } else {
    bytes_ += '\xcf';
    big_endian(value, 8);
  }
}

void MsgpackWriter::number(double value) {
  bytes_ += '\xcb';
  big_endian(std::bit_cast<uint64_t>(value), 8);
}

Result<nlohmann::json> parse_msgpack(std::string_view bytes) { return Reader(bytes).whole(); }

}  // namespace sis::perf
