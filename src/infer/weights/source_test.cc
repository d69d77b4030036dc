// Folders as published open and hand out the right values; broken ones are refused naming file and
// tensor.
#include "infer/weights/source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/strings.h"
#include "infer/weights/mapped_file.h"
#include "infer/weights/weights_test_files.h"

namespace sis::weights {
namespace {

using Names = std::vector<std::string>;
using Values = std::vector<float>;

std::unique_ptr<WeightSource> opened(const std::string& folder) {
  auto source = WeightSource::open(folder);
  EXPECT_TRUE(source.ok()) << (source.ok() ? "" : source.error().message);
  return source.ok() ? *std::move(source) : nullptr;
}

std::string refusal(const std::string& folder) {
  const auto source = WeightSource::open(folder);
  EXPECT_FALSE(source.ok());
  return source.ok() ? "" : source.error().message;
}

// [2, 3] f32, [4] bf16, [2] f16, [1] int64, [2] fp8, [2] of another fp8; an odd header, so the data
// is misaligned.
std::string mixed_file() {
  std::string json =
      R"({"matrix":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"brain":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},)"
      R"("half":{"dtype":"F16","shape":[2],"data_offsets":[32,36]},"ids":{"dtype":"I64","shape":[1],"data_offsets":[36,44]},)"
      R"("eight":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[44,46]},"none":{"dtype":"F32","shape":[0,7],"data_offsets":[46,46]},)"
      R"("cube":{"dtype":"F32","shape":[1,1,1],"data_offsets":[46,50]},"scalar":{"dtype":"F32","shape":[],"data_offsets":[50,54]},"odd":{"dtype":"F8_E5M2","shape":[2],"data_offsets":[54,56]}})";
  while ((json.size() + 8) % 2 == 0) json += ' ';
  return file_of(json, raw<float>({1, 2, 3, 4, 5, 6}) + raw<uint16_t>({0x3F80, 0xBF80, 0x4049, 0}) +
                           raw<uint16_t>({0x3C00, 0xC000}) + raw<int64_t>({9}) + "xx" +
                           raw<float>({7}) + raw<float>({8}) + "yy");
}

TEST(WeightSource, ReadsEveryFloatTypeFromMisalignedData) {
  const ScratchFolder folder;
  folder.write("model.safetensors", mixed_file());
  const auto source = opened(folder.path());
  ASSERT_TRUE(source);
  EXPECT_EQ(source->names(),
            (Names{"brain", "cube", "eight", "half", "ids", "matrix", "none", "odd", "scalar"}));
  EXPECT_EQ(source->bytes(), 56);
  const auto matrix = source->matrix("matrix", 2, 3);
  ASSERT_TRUE(matrix.ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(matrix->data) % 2, 1u);  // the case this test is about
  EXPECT_EQ(matrix->at(1, 2), 6.0f);
  Values row(3);
  matrix->row_to(1, row.data());
  EXPECT_EQ(row, (Values{4, 5, 6}));
  const auto brain = source->matrix("brain", 1, -1);
  ASSERT_TRUE(brain.ok());
  EXPECT_EQ(brain->dtype, DType::kBf16);
  EXPECT_EQ(brain->rows, 1);
  EXPECT_EQ(source->vector("brain", 4).value(), (Values{1, -1, 3.140625f, 0}));
  EXPECT_EQ(source->vector("half", -1).value(), (Values{1, -2}));
  EXPECT_EQ(source->matrix("scalar", 1, 1)->at(0, 0), 8.0f);
  const auto none = source->matrix("none", 0, 7);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->bytes(), 0);
}

TEST(WeightSource, TellsWhatATensorIs) {
  const ScratchFolder folder;
  folder.write("model.safetensors", mixed_file());
  const auto source = opened(folder.path());
  ASSERT_TRUE(source);
  EXPECT_TRUE(source->has("eight"));
  EXPECT_FALSE(source->has("eigh"));
  EXPECT_FALSE(source->has("eightx"));
  EXPECT_EQ(source->info("nothing"), nullptr);
  EXPECT_EQ(source->info("eight")->stored, StoredType::kF8E4M3);
  EXPECT_EQ(source->info("eight")->dtype, DType::kF8E4M3);
  EXPECT_FALSE(source->info("odd")->dtype.has_value());
  EXPECT_EQ(source->info("ids")->dtype, DType::kI64);
  EXPECT_EQ(source->info("matrix")->bytes, 24);
}

TEST(WeightSource, RefusesWhatIsNotAskedForRight) {
  const ScratchFolder folder;
  const std::string file = folder.write("model.safetensors", mixed_file());
  const auto source = opened(folder.path());
  ASSERT_TRUE(source);
  EXPECT_SAYS(source->matrix("gone", -1, -1).error().message,
              "tensor 'gone': not in the checkpoint");
  EXPECT_SAYS(source->matrix("matrix", 3, 2).error().message, file,
              "tensor 'matrix': want shape [3, 2], found [2, 3]");
  EXPECT_SAYS(source->matrix("cube", -1, -1).error().message,
              "want shape [any, any], found [1, 1, 1]");
  EXPECT_SAYS(source->vector("matrix", 6).error().message, "want shape [6], found [2, 3]");
  EXPECT_SAYS(source->vector("half", 3).error().message, "want shape [3], found [2]");
  EXPECT_SAYS(source->vector("eight", 2).error().message,
              "tensor 'eight': want F32, F16 or BF16 weights, found F8_E4M3");
  EXPECT_SAYS(source->matrix("eight", 1, 2).error().message, "found F8_E4M3");
  EXPECT_SAYS(source->vector("odd", 2).error().message,
              "tensor 'odd': want F32, F16 or BF16 weights, found F8_E5M2, which is not supported");
  EXPECT_SAYS(source->linear("odd", 1, 2).error().message, "found F8_E5M2");
  EXPECT_SAYS(source->matrix("ids", 1, 1).error().message, "found I64");
}

// A file with one F8_E4M3 tensor "w" of [rows, cols] whose element i is the byte i % 120, and
// another tensor of the given name, type and shape with these bytes.
std::string f8_file(int64_t rows, int64_t cols, std::string_view name, std::string_view type,
                    std::string_view shape, const std::string& data) {
  std::string weights;
  for (int64_t i = 0; i < rows * cols; ++i) weights += static_cast<char>(i % 120);
  return file_of(
      concat(R"({"w":{"dtype":"F8_E4M3","shape":[)", rows, ",", cols, R"(],"data_offsets":[0,)",
             weights.size(), R"(]},")", name, R"(":{"dtype":")", type, R"(","shape":)", shape,
             R"(,"data_offsets":[)", weights.size(), ",", weights.size() + data.size(), "]}}"),
      weights + data);
}

float f8(int64_t i) { return to_float(f8e4m3{static_cast<uint8_t>(i % 120)}); }

TEST(WeightSource, ReadsF8WithAScaleForEachBlock) {
  const ScratchFolder folder;
  folder.write("model.safetensors",
               f8_file(130, 257, "w_scale_inv", "BF16", "[2,3]",
                       raw<uint16_t>({0x3F80, 0x4000, 0x4080, 0x3F00, 0x3E80, 0x4100})));
  const auto source = opened(folder.path());
  ASSERT_TRUE(source);
  const auto view = source->linear("w", 130, 257);
  ASSERT_TRUE(view.ok()) << view.error().message;
  const float scales[2][3] = {{1, 2, 4}, {0.5f, 0.25f, 8}};
  Values row(257);
  for (const int64_t r : {0, 127, 128, 129}) {
    view->row_to(r, row.data());
    for (int64_t c = 0; c < 257; ++c) {
      ASSERT_EQ(row[static_cast<size_t>(c)], f8(r * 257 + c) * scales[r / 128][c / 128]);
      ASSERT_EQ(view->at(r, c), row[static_cast<size_t>(c)]) << r << " " << c;
    }
  }
  EXPECT_SAYS(source->linear("w", 257, 130).error().message, "want shape [257, 130]");
  EXPECT_TRUE(source->linear("w_scale_inv", 2, 3).ok());  // other types as ever
}

TEST(WeightSource, ReadsF8WithAScaleForTheTensorOrEachRow) {
  struct {
    const char *shape, *type;
    std::string data;
    float first, second;  // scales of the two rows
  } const cases[] = {{"[]", "F32", raw<float>({3}), 3, 3},
                     {"[1]", "BF16", raw<uint16_t>({0x4040}), 3, 3},
                     {"[2]", "F16", raw<uint16_t>({0x3C00, 0xC000}), 1, -2},
                     {"[2,1]", "F32", raw<float>({5, 7}), 5, 7}};
  for (const auto& one : cases) {
    const ScratchFolder folder;
    folder.write("model.safetensors", f8_file(2, 150, "w_scale", one.type, one.shape, one.data));
    const auto source = opened(folder.path());
    ASSERT_TRUE(source);
    const auto view = source->linear("w", 2, 150);
    ASSERT_TRUE(view.ok()) << view.error().message;
    EXPECT_EQ(view->at(0, 149), f8(149) * one.first) << one.shape;
    EXPECT_EQ(view->at(1, 3), f8(153) * one.second) << one.shape;
  }
}

TEST(WeightSource, RefusesF8WithoutItsScales) {
  struct {
    const char *name, *type, *shape;
    size_t bytes;
    const char* says;
  } const cases[] = {
      {"scales", "F32", "[1]", 4, "want 'w_scale_inv' or 'w_scale' beside them, found neither"},
      {"w_scale_inv", "F32", "[3,2]", 24,
       "want shape [2, 3] for weights of [130, 257], found [3, 2]"},
      {"w_scale_inv", "F32", "[2,2]", 16, "want shape [2, 3]"},
      {"w_scale_inv", "F32", "[6]", 24, "found [6]"},
      {"w_scale_inv", "F32", "[]", 4, "found []"},
      {"w_scale_inv", "I32", "[2,3]", 24, "want F32, F16 or BF16 scales, found I32"},
      {"w_scale", "F32", "[257]", 1028, "want shape [], [1], [130] or [130, 1]"},
      {"w_scale", "F8_E4M3", "[1]", 1, "found F8_E4M3"},
  };
  for (const auto& one : cases) {
    const ScratchFolder folder;
    const std::string file = folder.write(
        "model.safetensors",
        f8_file(130, 257, one.name, one.type, one.shape, std::string(one.bytes, '\1')));
    const auto source = opened(folder.path());
    ASSERT_TRUE(source);
    const auto view = source->linear("w", 130, 257);
    ASSERT_FALSE(view.ok()) << one.says;
    EXPECT_EQ(view.error().code, Code::kInvalidArgument);
    EXPECT_SAYS(view.error().message, file, "'w", one.says);
  }
}

TEST(WeightSource, OpensAFileOfAnyName) {
  const ScratchFolder folder;
  const auto source = WeightSource::open_file(folder.write("expected.safetensors", mixed_file()));
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->vector("half", 2).value(), (Values{1, -2}));
  const auto gone = WeightSource::open_file(folder / "gone.safetensors");
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code, Code::kNotFound);
}

// What other programs wrote: safetensors' own writer, single and sharded, f32, f16 and bf16.
TEST(WeightSource, ReadsTheGoldenCheckpoints) {
  int folders = 0;
  for (const auto& entry : std::filesystem::directory_iterator("tests/golden/encoders")) {
    if (!entry.is_directory()) continue;
    ++folders;
    const auto source = opened(entry.path());
    ASSERT_TRUE(source) << entry.path();
    EXPECT_GT(source->names().size(), 20u) << entry.path();
    for (const std::string& name : source->names()) {
      const size_t dims = source->info(name)->shape.size();
      if (dims == 1)
        EXPECT_TRUE(source->vector(name, -1).ok()) << name;
      else
        EXPECT_TRUE(source->matrix(name, -1, -1).ok()) << name;
    }
    const auto expected = WeightSource::open_file(entry.path() / "expected.safetensors");
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    const auto vectors = (*expected)->matrix("same_token", 1, -1);
    ASSERT_TRUE(vectors.ok()) << vectors.error().message;
    double length = 0;
    for (int64_t c = 0; c < vectors->cols; ++c) length += vectors->at(0, c) * vectors->at(0, c);
    EXPECT_GT(length, 0.9) << entry.path();  // 1 where normalised, more where not
  }
  EXPECT_GE(folders, 15);
}

TEST(WeightSource, HeaderFaultsNameTheFile) {
  const ScratchFolder folder;
  const std::string file = folder.write("model.safetensors", file_of("{", ""));
  EXPECT_SAYS(refusal(folder.path()), file + ": header");
}

TEST(WeightSource, NothingThere) {
  const ScratchFolder folder;
  const auto source = WeightSource::open(folder.path());
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().code, Code::kNotFound);
  EXPECT_SAYS(source.error().message, "no model.safetensors and no model.safetensors.index.json");
}

TEST(WeightSource, NotARegularFile) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "model.safetensors");
  EXPECT_SAYS(refusal(folder.path()), "want a regular file");
  const ScratchFolder pipe;
  ASSERT_EQ(mkfifo((pipe / "model.safetensors").c_str(), 0600), 0);
  EXPECT_SAYS(refusal(pipe.path()), "want a regular file");
  const ScratchFolder empty;
  empty.write("model.safetensors", "");
  EXPECT_SAYS(refusal(empty.path()), "the file is empty");
}

std::string tensor_file(std::string_view name, float value) {
  return file_of(concat("{\"", name, R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
                 raw<float>({value}));
}

TEST(WeightSource, ShardsThroughLinksAsModelCachesKeepThem) {
  const ScratchFolder folder;
  std::filesystem::create_directories(folder / "blobs");
  std::filesystem::create_directories(folder / "snapshot");
  folder.write("blobs/1", tensor_file("a", 1));
  folder.write("blobs/2", tensor_file("b", 2));
  std::filesystem::create_symlink("../blobs/1", folder / "snapshot/m-1.safetensors");
  std::filesystem::create_symlink("../blobs/2", folder / "snapshot/m-2.safetensors");
  folder.write("snapshot/model.safetensors.index.json",
               R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})");
  const auto source = opened(folder / "snapshot");
  ASSERT_TRUE(source);
  EXPECT_EQ(source->vector("a", 1).value()[0], 1.0f);
  EXPECT_EQ(source->vector("b", 1).value()[0], 2.0f);
  EXPECT_EQ(source->bytes(), 8);
}

TEST(WeightSource, ShardMissing) {
  const ScratchFolder folder;
  const std::string index =
      folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"m.safetensors"}})");
  const auto source = WeightSource::open(folder.path());
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().code, Code::kInvalidArgument);
  EXPECT_SAYS(source.error().message, index, "shard 'm.safetensors'", "cannot open");
}

TEST(WeightSource, TensorNotInItsShard) {
  const ScratchFolder folder;
  folder.write("m-1.safetensors", tensor_file("a", 1));
  folder.write("m-2.safetensors", tensor_file("b", 2));
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"m-2.safetensors","b":"m-2.safetensors"}})");
  EXPECT_SAYS(refusal(folder.path()), "tensor 'a': not in its shard 'm-2.safetensors'");
}

TEST(WeightSource, OnlyIndexedTensorsExist) {
  const ScratchFolder folder;
  folder.write("m-1.safetensors", tensor_file("a", 1));
  folder.write("m-2.safetensors", tensor_file("b", 2));
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"m-1.safetensors"}})");
  const auto source = opened(folder.path());
  ASSERT_TRUE(source);
  EXPECT_EQ(source->names(), (Names{"a"}));
}

TEST(WeightSource, IndexFaultsNameTheFile) {
  const ScratchFolder folder;
  const std::string index = folder.write("model.safetensors.index.json",
                                         R"({"weight_map":{"a":"../../etc/x.safetensors"}})");
  EXPECT_SAYS(refusal(folder.path()), index, "found a path");
}

TEST(WeightSource, SingleFileCountsBeforeAnIndex) {
  const ScratchFolder folder;
  folder.write("model.safetensors", tensor_file("a", 5));
  folder.write("model.safetensors.index.json", "broken");
  const auto source = opened(folder.path());
  ASSERT_TRUE(source);
  EXPECT_EQ(source->vector("a", 1).value()[0], 5.0f);
}

TEST(MappedFile, NoticesAFileThatChanges) {
  const ScratchFolder folder;
  const std::string path = folder.write("f", "0123456789");
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(file->changed());
  ASSERT_EQ(truncate(path.c_str(), 4), 0);
  EXPECT_TRUE(file->changed());
}

// Pages of the mapping that are in this process's own tables, counted in /proc/self/smaps.
int64_t resident_bytes(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  while (std::getline(maps, line)) {
    unsigned long begin = 0, end = 0;
    if (sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2)
      inside = reinterpret_cast<unsigned long>(address) >= begin &&
               reinterpret_cast<unsigned long>(address) < end;
    long kib = 0;
    if (inside && sscanf(line.c_str(), "Rss: %ld kB", &kib) == 1) return kib * 1024;
  }
  return -1;
}

TEST(WeightSource, ReleaseLeavesMemoryAndKeepsValues) {
  const int64_t count = 4 << 20;
  const ScratchFolder folder;
  std::string data(static_cast<size_t>(count) * 4, '\0');
  const float last = 42.0f;
  std::memcpy(data.data() + data.size() - 4, &last, 4);
  folder.write("model.safetensors", file_of(concat(R"({"w":{"dtype":"F32","shape":[)", count,
                                                   R"(],"data_offsets":[0,)", data.size(), "]}}"),
                                            data));
  const auto source = opened(folder.path());
  ASSERT_TRUE(source);
  const auto view = source->matrix("w", 1, count);
  ASSERT_TRUE(view.ok());
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += view->at(0, i);
  EXPECT_EQ(sum, last);
  const int64_t before = resident_bytes(view->data);
  if (before < count * 4) GTEST_SKIP() << "this kernel does not tell resident pages: " << before;
  source->release("w");
  source->release("no such tensor");
  EXPECT_LT(resident_bytes(view->data), before / 8);
  EXPECT_EQ(view->at(0, count - 1), last);
}

}  // namespace
}  // namespace sis::weights
