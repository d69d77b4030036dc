#include "infer/weights/safetensors_header.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/strings.h"
#include "infer/weights/json_reading.h"

namespace sis::weights {
namespace {

namespace od = simdjson::ondemand;

constexpr uint64_t kPrefixBytes = 8;

Error bad(std::string message) { return Error{Code::kInvalidArgument, std::move(message)}; }

uint64_t load_le64(const std::byte* from) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<uint64_t>(from[i]);
  return value;
}

// Of one tensor, as the file has it: offsets count from the start of the data.
struct Entry {
  std::optional<StoredType> type;
  std::optional<std::vector<int64_t>> shape;
  std::optional<std::pair<int64_t, int64_t>> offsets;
};

Result<int64_t> read_count(od::value value, std::string_view what) {
  // Decided before the value is consumed: a number that is not a count is quoted as it stands.
  const std::string_view token = trim(value.raw_json_token());
  int64_t number = 0;
  if (value.get_int64().get(number) != simdjson::SUCCESS || number < 0)
    return bad(concat(what, ": want an integer from 0 to 2^63-1, found ", in_quotes(token)));
  return number;
}

Result<std::vector<int64_t>> read_counts(od::value value, std::string_view what, size_t count_max) {
  od::array array;
  if (const auto fault = value.get_array().get(array); fault != simdjson::SUCCESS)
    return json_error(concat(what, ": want an array of integers"), fault);
  std::vector<int64_t> counts;
  for (auto element : array) {
    od::value item;
    if (const auto fault = element.get(item); fault != simdjson::SUCCESS)
      return json_error(what, fault);
    if (counts.size() == count_max) return bad(concat(what, ": more than ", count_max, " entries"));
    SIS_ASSIGN(const int64_t count, read_count(item, what));
    counts.push_back(count);
  }
  return counts;
}

Result<Entry> read_entry(od::value value) {
  od::object object;
  if (const auto fault = value.get_object().get(object); fault != simdjson::SUCCESS)
    return json_error("want an object with dtype, shape and data_offsets", fault);
  Entry entry;
  for (auto element : object) {
    od::field field;
    std::string_view key;
    if (const auto fault = std::move(element).get(field); fault != simdjson::SUCCESS)
      return json_error("entry", fault);
    if (const auto fault = field.unescaped_key().get(key); fault != simdjson::SUCCESS)
      return json_error("entry", fault);
    if (key == "dtype") {
      if (entry.type) return bad("dtype given twice");
      std::string_view name;
      if (const auto fault = field.value().get_string().get(name); fault != simdjson::SUCCESS)
        return json_error("dtype: want a string", fault);
      entry.type = stored_type_of(name);
      if (!entry.type)
        return bad(
            concat("dtype ", in_quotes(name), " is not known; want one like F32, F16 or BF16"));
    } else if (key == "shape") {
      if (entry.shape) return bad("shape given twice");
      SIS_ASSIGN(entry.shape, read_counts(field.value(), "shape", kTensorDimsMax));
    } else if (key == "data_offsets") {
      if (entry.offsets) return bad("data_offsets given twice");
      SIS_ASSIGN(const auto both, read_counts(field.value(), "data_offsets", 2));
      if (both.size() != 2)
        return bad(concat("data_offsets: want [begin, end], found ", both.size(), " entries"));
      entry.offsets = {both[0], both[1]};
    } else {
      return bad(
          concat("unknown key ", in_quotes(key), "; want dtype, shape and data_offsets only"));
    }
  }
  if (!entry.type) return bad("dtype is missing");
  if (!entry.shape) return bad("shape is missing");
  if (!entry.offsets) return bad("data_offsets are missing");
  return entry;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += concat(text.size() == 1 ? "" : ", ", size);
  return text + "]";
}

// Bytes of shape * dtype, or why there is no such number.
Result<int64_t> bytes_wanted(const Entry& entry) {
  // A zero anywhere makes the tensor empty, whatever the other sizes multiply to.
  if (std::ranges::find(*entry.shape, 0) != entry.shape->end()) return int64_t{0};
  int64_t bits = stored_type_bits(*entry.type);
  for (const int64_t size : *entry.shape)
    if (__builtin_mul_overflow(bits, size, &bits))
      return bad(concat("shape ", shape_text(*entry.shape), " of ", stored_type_name(*entry.type),
                        " overflows a 64-bit size"));
  if (bits % 8 != 0)
    return bad(concat("shape ", shape_text(*entry.shape), " of ", stored_type_name(*entry.type),
                      " is ", bits, " bits, not whole bytes"));
  return bits / 8;
}

Result<HeaderTensor> checked(std::string_view name, Entry entry, int64_t data_begin,
                             int64_t data_bytes) {
  const auto [begin, end] = *entry.offsets;
  if (begin > end)
    return bad(concat("data_offsets [", begin, ", ", end, "]: the end lies before the begin"));
  if (end > data_bytes)
    return bad(concat("data_offsets [", begin, ", ", end, "]: the file has only ", data_bytes,
                      " bytes of data"));
  SIS_ASSIGN(const int64_t bytes, bytes_wanted(entry));
  if (bytes != end - begin)
    return bad(concat("data_offsets [", begin, ", ", end, "] are ", end - begin,
                      " bytes, but shape ", shape_text(*entry.shape), " of ",
                      stored_type_name(*entry.type), " is ", bytes));
  return HeaderTensor{std::string(name), *entry.type, std::move(*entry.shape), data_begin + begin,
                      data_begin + end};
}

Result<std::vector<std::pair<std::string, std::string>>> read_metadata(od::value value) {
  od::object object;
  if (const auto fault = value.get_object().get(object); fault != simdjson::SUCCESS)
    return json_error("want an object of strings", fault);
  std::vector<std::pair<std::string, std::string>> entries;
  for (auto element : object) {
    od::field field;
    std::string_view key, text;
    if (const auto fault = std::move(element).get(field); fault != simdjson::SUCCESS)
      return json_error("entry", fault);
    if (const auto fault = field.unescaped_key().get(key); fault != simdjson::SUCCESS)
      return json_error("entry", fault);
    if (const auto fault = field.value().get_string().get(text); fault != simdjson::SUCCESS)
      return json_error(concat(in_quotes(key), ": want a string"), fault);
    if (entries.size() == kMetadataEntriesMax)
      return bad(concat("more than ", kMetadataEntriesMax, " entries"));
    entries.emplace_back(key, text);
  }
  std::ranges::sort(entries);
  for (size_t i = 1; i < entries.size(); ++i)
    if (entries[i].first == entries[i - 1].first)
      return bad(concat("key ", in_quotes(entries[i].first), " given twice"));
  return entries;
}

Result<SafetensorsHeader> read_json(std::string_view text, int64_t data_begin, int64_t data_bytes) {
  const simdjson::padded_string padded(text);
  od::parser parser;
  od::document document;
  od::object object;
  if (const auto fault = parser.iterate(padded).get(document); fault != simdjson::SUCCESS)
    return json_error("header", fault);
  if (const auto fault = document.get_object().get(object); fault != simdjson::SUCCESS)
    return json_error("header: want a JSON object", fault);
  SafetensorsHeader header{.data_begin = data_begin};
  bool has_metadata = false;
  for (auto element : object) {
    od::field field;
    std::string_view name;
    if (const auto fault = std::move(element).get(field); fault != simdjson::SUCCESS)
      return json_error("header", fault);
    if (const auto fault = field.unescaped_key().get(name); fault != simdjson::SUCCESS)
      return json_error("header: a tensor's name", fault);
    if (name == "__metadata__") {
      if (std::exchange(has_metadata, true)) return bad("header: __metadata__ given twice");
      auto metadata = read_metadata(field.value());
      if (!metadata) return prefixed("header: __metadata__", std::move(metadata).error());
      header.metadata = *std::move(metadata);
      continue;
    }
    if (name.empty() || name.size() > kTensorNameBytesMax)
      return bad(concat("header: tensor ", in_quotes(name), ": the name has ", name.size(),
                        " bytes, want 1 to ", kTensorNameBytesMax));
    auto tensor = [&]() -> Result<HeaderTensor> {
      SIS_ASSIGN(Entry entry, read_entry(field.value()));
      return checked(name, std::move(entry), data_begin, data_bytes);
    }();
    if (!tensor) return prefixed(concat("tensor ", in_quotes(name)), std::move(tensor).error());
    header.tensors.push_back(*std::move(tensor));
  }
  // The reader stops at the object's end; anything behind it but white space is no header.
  if (const char* rest = nullptr; document.current_location().get(rest) == simdjson::SUCCESS)
    return bad(
        concat("header: unexpected text after the JSON object, at byte ", rest - padded.data()));
  return header;
}

Status check_tiling(const std::vector<HeaderTensor>& tensors, int64_t data_begin,
                    int64_t file_bytes) {
  std::vector<const HeaderTensor*> in_file;
  in_file.reserve(tensors.size());
  for (const HeaderTensor& tensor : tensors) in_file.push_back(&tensor);
  std::ranges::sort(in_file, {}, [](const HeaderTensor* t) { return std::pair(t->begin, t->end); });
  int64_t expected = data_begin;
  const HeaderTensor* previous = nullptr;
  for (const HeaderTensor* tensor : in_file) {
    if (tensor->begin < expected)
      return bad(concat("tensor ", in_quotes(tensor->name), ": its bytes from ",
                        tensor->begin - data_begin, " overlap those of ", in_quotes(previous->name),
                        ", which end at ", expected - data_begin));
    if (tensor->begin > expected)
      return bad(concat("tensor ", in_quotes(tensor->name), ": a hole of ",
                        tensor->begin - expected, " bytes lies before its data at ",
                        tensor->begin - data_begin));
    expected = tensor->end;
    previous = tensor;
  }
  if (expected != file_bytes)
    return bad(concat(file_bytes - expected,
                      " bytes after the last tensor belong to none (data ends at ",
                      expected - data_begin, " of ", file_bytes - data_begin, ")"));
  return {};
}

}  // namespace

Result<SafetensorsHeader> parse_header(std::span<const std::byte> file) {
  if (file.size() < kPrefixBytes)
    return bad(concat("file of ", file.size(), " bytes, want at least ", kPrefixBytes,
                      " for the header's length"));
  if (file.size() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return bad(concat("file of ", file.size(), " bytes is past any file size"));
  const uint64_t header_bytes = load_le64(file.data());
  if (header_bytes > kHeaderBytesMax)
    return bad(concat("header of ", header_bytes, " bytes, want at most ", kHeaderBytesMax));
  if (header_bytes > file.size() - kPrefixBytes)
    return bad(
        concat("header of ", header_bytes, " bytes runs past the file of ", file.size(), " bytes"));
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kPrefixBytes,
                              header_bytes);
  if (text.empty() || text.front() != '{')
    return bad(
        concat("header: want JSON beginning with '{', found ", in_quotes(text.substr(0, 1))));

  const auto data_begin = static_cast<int64_t>(kPrefixBytes + header_bytes);
  const auto file_bytes = static_cast<int64_t>(file.size());
  SIS_ASSIGN(SafetensorsHeader header, read_json(text, data_begin, file_bytes - data_begin));
  std::ranges::sort(header.tensors, {}, &HeaderTensor::name);
  for (size_t i = 1; i < header.tensors.size(); ++i)
    if (header.tensors[i].name == header.tensors[i - 1].name)
      return bad(concat("tensor ", in_quotes(header.tensors[i].name), ": the name is given twice"));
  SIS_TRY(check_tiling(header.tensors, data_begin, file_bytes));
  return header;
}

}  // namespace sis::weights
