// Any bytes as a safetensors file and as a shard index: no crash, and what is accepted holds what
// the headers of this folder promise.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "infer/weights/safetensors_header.h"
#include "infer/weights/shard_index.h"

using namespace sis::weights;  // NOLINT: a program of one file

namespace {

void check_file(const uint8_t* data, size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  if (const auto header = parse_header(bytes)) {
    const auto* text = reinterpret_cast<const char*>(data) + 8;
    // simdjson's on-demand reader checks only what is looked at; a second reader says whether that
    // was all.
    SIS_CHECK(nlohmann::json::accept(text, text + header->data_begin - 8),
              "accepted a header that is no JSON");
    int64_t total = 0;
    for (const HeaderTensor& tensor : header->tensors) {
      SIS_CHECK(tensor.begin >= header->data_begin && tensor.begin <= tensor.end, tensor.name);
      SIS_CHECK(tensor.end <= static_cast<int64_t>(size), tensor.name);
      SIS_CHECK(tensor.name != "__metadata__" && !tensor.name.empty(), "name");
      int64_t bits = stored_type_bits(tensor.type);
      for (const int64_t count : tensor.shape) bits = count == 0 ? 0 : bits * count;
      bool empty = false;
      for (const int64_t count : tensor.shape) empty |= count == 0;
      SIS_CHECK((empty ? 0 : bits / 8) == tensor.end - tensor.begin, tensor.name);
      total += tensor.end - tensor.begin;
    }
    SIS_CHECK(total == static_cast<int64_t>(size) - header->data_begin, "total=", total);
  }
}

void check_index(const uint8_t* data, size_t size) {
  if (const auto index = parse_shard_index({reinterpret_cast<const char*>(data), size})) {
    SIS_CHECK(!index->entries.empty(), "no entries");
    for (const auto& entry : index->entries) {
      SIS_CHECK(entry.shard < index->shards.size(), entry.tensor);
      SIS_CHECK(index->shards[entry.shard].find('/') == std::string::npos, entry.tensor);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  check_file(data, size);
  check_index(data, size);
  if (size == 0) return 0;
  // The same bytes with a length field that fits, so that mutations of the JSON get past it: first
  // byte is the size of the data, the rest the header.
  std::vector<uint8_t> file(8 + (size - 1) + data[0], 'x');
  for (int i = 0; i < 8; ++i) file[i] = static_cast<uint8_t>((size - 1) >> (8 * i));
  std::copy(data + 1, data + size, file.begin() + 8);
  check_file(file.data(), file.size());
  return 0;
}
