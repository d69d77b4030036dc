#include "infer/weights/source.h"

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "infer/weights/json_file.h"
#include "infer/weights/mapped_file.h"
#include "infer/weights/safetensors_header.h"
#include "infer/weights/shard_index.h"

namespace sis::weights {
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

Error bad(std::string message) { return Error{Code::kInvalidArgument, std::move(message)}; }

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += concat(text.size() == 1 ? "" : ", ", size);
  return text + "]";
}

std::string wanted_text(int64_t size) { return size < 0 ? "any" : concat(size); }

struct Entry {
  TensorInfo info;
  uint32_t file = 0;
  int64_t begin = 0;  // in bytes, from the start of the file
};

class MappedSource final : public WeightSource {
 public:
  MappedSource(std::vector<MappedFile> files, std::vector<Entry> entries)
      : files_(std::move(files)), entries_(std::move(entries)) {
    for (const Entry& entry : entries_) bytes_ += entry.info.bytes;
  }

  bool has(std::string_view name) const override { return find(name) != nullptr; }
  const TensorInfo* info(std::string_view name) const override {
    const Entry* entry = find(name);
    return entry ? &entry->info : nullptr;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    names.reserve(entries_.size());
    for (const Entry& entry : entries_) names.push_back(entry.info.name);
    return names;
  }
  int64_t bytes() const override { return bytes_; }

  Result<WeightView> matrix(std::string_view name, int64_t rows, int64_t cols) const override {
    SIS_ASSIGN(const Entry* entry, find_float(name));
    const std::vector<int64_t>& shape = entry->info.shape;
    const int64_t rows_found = shape.size() == 2 ? shape[0] : 1;
    const int64_t cols_found = shape.empty() ? 1 : shape.back();
    if (shape.size() > 2 || (rows >= 0 && rows != rows_found) || (cols >= 0 && cols != cols_found))
      return bad(concat(place(*entry), ": want shape [", wanted_text(rows), ", ", wanted_text(cols),
                        "], found ", shape_text(shape)));
    return WeightView{data(*entry), *entry->info.dtype, rows_found, cols_found};
  }

  Result<std::vector<float>> vector(std::string_view name, int64_t size) const override {
    SIS_ASSIGN(const Entry* entry, find_float(name));
    const std::vector<int64_t>& shape = entry->info.shape;
    if (shape.size() != 1 || (size >= 0 && size != shape[0]))
      return bad(concat(place(*entry), ": want shape [", wanted_text(size), "], found ",
                        shape_text(shape)));
    std::vector<float> values(static_cast<size_t>(shape[0]));
    if (!values.empty())
      WeightView{data(*entry), *entry->info.dtype, 1, shape[0]}.row_to(0, values.data());
    return values;
  }

  void release(std::string_view name) const override {
    if (const Entry* entry = find(name))
      files_[entry->file].release(entry->begin, entry->begin + entry->info.bytes);
  }

 private:
  const Entry* find(std::string_view name) const {
    const auto at = std::ranges::lower_bound(
        entries_, name, {}, [](const Entry& e) -> std::string_view { return e.info.name; });
    return at != entries_.end() && at->info.name == name ? &*at : nullptr;
  }

  Result<const Entry*> find_float(std::string_view name) const {
    const Entry* entry = find(name);
    if (!entry)
      return bad(concat("tensor ", in_quotes(name), ": not in the checkpoint of ", entries_.size(),
                        " tensors"));
    if (!is_float_weight(entry->info.stored))
      return bad(concat(place(*entry), ": want F32, F16 or BF16 weights, found ",
                        stored_type_name(entry->info.stored),
                        entry->info.dtype ? "" : ", which is not supported"));
    return entry;
  }

  std::string place(const Entry& entry) const {
    return concat(files_[entry.file].path(), ": tensor ", in_quotes(entry.info.name));
  }
  const std::byte* data(const Entry& entry) const {
    return files_[entry.file].bytes().data() + entry.begin;
  }

  std::vector<MappedFile> files_;
  std::vector<Entry> entries_;  // by name
  int64_t bytes_ = 0;
};

Result<SafetensorsHeader> checked_header(const MappedFile& file) {
  auto header = parse_header(file.bytes());
  if (!header) return prefixed(file.path(), std::move(header).error());
  if (file.changed()) return bad(concat(file.path(), ": the file changed while it was read"));
  return header;
}

Entry entry_of(HeaderTensor tensor, uint32_t file) {
  return {.info = {.name = std::move(tensor.name),
                   .stored = tensor.type,
                   .dtype = dtype_of(tensor.type),
                   .shape = std::move(tensor.shape),
                   .bytes = tensor.end - tensor.begin},
          .file = file,
          .begin = tensor.begin};
}

Result<std::unique_ptr<WeightSource>> open_sharded(const std::string& folder,
                                                   const std::string& index_path) {
  SIS_ASSIGN(const std::string text, read_text_file(index_path, kIndexBytesMax));
  auto index = parse_shard_index(text);
  if (!index) return prefixed(index_path, std::move(index).error());

  std::vector<MappedFile> files;
  std::vector<SafetensorsHeader> headers;
  for (const std::string& shard : index->shards) {
    auto file = MappedFile::open(folder + "/" + shard);
    // A missing shard is a broken checkpoint, not a missing one.
    if (!file)
      return bad(concat(index_path, ": shard ", in_quotes(shard), ": ", file.error().message));
    SIS_ASSIGN(SafetensorsHeader header, checked_header(*file));
    files.push_back(*std::move(file));
    headers.push_back(std::move(header));
  }
  std::vector<Entry> entries;
  entries.reserve(index->entries.size());
  for (const auto& [name, shard] : index->entries) {
    auto& tensors = headers[shard].tensors;
    const auto at = std::ranges::lower_bound(tensors, name, {}, &HeaderTensor::name);
    if (at == tensors.end() || at->name != name)
      return bad(concat(index_path, ": tensor ", in_quotes(name), ": not in its shard ",
                        in_quotes(index->shards[shard])));
    // A copy: a moved-from name would break the order this search stands on.
    entries.push_back(entry_of(*at, shard));
  }
  return std::unique_ptr<WeightSource>(new MappedSource(std::move(files), std::move(entries)));
}

}  // namespace

Result<std::unique_ptr<WeightSource>> WeightSource::open(const std::string& folder) {
  const std::string single = folder + "/" + kSingleFile;
  const std::string index = folder + "/" + kIndexFile;
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) return open_file(single);
  if (std::filesystem::exists(index, ignored)) return open_sharded(folder, index);
  return Error{Code::kNotFound, concat(folder, ": no ", kSingleFile, " and no ", kIndexFile)};
}

Result<std::unique_ptr<WeightSource>> WeightSource::open_file(const std::string& path) {
  SIS_ASSIGN(MappedFile file, MappedFile::open(path));
  SIS_ASSIGN(SafetensorsHeader header, checked_header(file));
  std::vector<Entry> entries;
  entries.reserve(header.tensors.size());
  for (HeaderTensor& tensor : header.tensors) entries.push_back(entry_of(std::move(tensor), 0));
  std::vector<MappedFile> files;
  files.push_back(std::move(file));
  return std::unique_ptr<WeightSource>(new MappedSource(std::move(files), std::move(entries)));
}

}  // namespace sis::weights
