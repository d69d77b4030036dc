#include "infer/text/tokenizer/post_processor.h"

#include "infer/text/tokenizer/unicode_tables.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

bool is_space(char32_t c) { return c == 0x120 || UnicodeTables::get().has(c, kWhiteSpace); }

// The position `steps` characters after (or before) `at`.
size_t forward(std::string_view text, size_t at, size_t steps) {
  for (; steps > 0 && at < text.size(); --steps) at += utf8_length(text[at]);
  return std::min(at, text.size());
}
// nullopt when the text begins earlier.
std::optional<size_t> backward(std::string_view text, size_t at, size_t steps) {
  for (; steps > 0; --steps) {
    if (at == 0) return std::nullopt;
    --at;
    while (at > 0 && is_continuation(text[at])) --at;
  }
  return at;
}

void add_around(TokenRun& run, std::optional<int32_t> before, int32_t after, int32_t type_id,
                bool with_offsets) {
  if (before) {
    run.ids.insert(run.ids.begin(), *before);
    run.type_ids.insert(run.type_ids.begin(), type_id);
    if (with_offsets) run.offsets.insert(run.offsets.begin(), {0, 0});
    if (!run.values.empty()) run.values.insert(run.values.begin(), std::string());
  }
  run.ids.push_back(after);
  run.type_ids.push_back(type_id);
  if (with_offsets) run.offsets.emplace_back(0, 0);
  if (!run.values.empty()) run.values.emplace_back();
}

// ["[SEP]", 102]
Result<int32_t> read_special(const JsonObject& config, std::string_view key) {
  SIS_ASSIGN(const JsonArray pair, config.array(key));
  std::string_view token;
  int64_t id = 0;
  if (pair.raw().size() != 2 || pair.raw().at(0).get(token) != simdjson::SUCCESS ||
      pair.raw().at(1).get(id) != simdjson::SUCCESS || id < 0 || id > INT32_MAX)
    return Error{Code::kInvalidArgument, concat(pair.path(), ": want [token, id]")};
  return static_cast<int32_t>(id);
}

// [CLS] A [SEP] and B [SEP]
class BertProcessing final : public PostProcessor {
 public:
  BertProcessing(int32_t cls, int32_t sep) : cls_(cls), sep_(sep) {}
  int32_t added_tokens(bool pair) const override { return pair ? 3 : 2; }
  void process(std::vector<TokenRun>& runs, bool add_special_tokens,
               bool with_offsets) const override {
    if (!add_special_tokens) return;
    for (size_t i = 0; i < runs.size(); ++i) {
      if (i == 0)
        add_around(runs[i], cls_, sep_, 0, with_offsets);
      else
        add_around(runs[i], std::nullopt, sep_, 1, with_offsets);
    }
  }

 private:
  const int32_t cls_, sep_;
};

// <s> A </s> and </s> B </s>, all of type 0
class RobertaProcessing final : public PostProcessor {
 public:
  RobertaProcessing(int32_t cls, int32_t sep, bool trims, bool add_prefix_space)
      : cls_(cls), sep_(sep), trims_(trims), add_prefix_space_(add_prefix_space) {}
  int32_t added_tokens(bool pair) const override { return pair ? 4 : 2; }
  void process(std::vector<TokenRun>& runs, bool add_special_tokens,
               bool with_offsets) const override {
    for (size_t i = 0; i < runs.size(); ++i) {
      if (trims_ && with_offsets) trim_offsets(runs[i], add_prefix_space_);
      runs[i].type_ids.assign(runs[i].ids.size(), 0);
      if (add_special_tokens) add_around(runs[i], i == 0 ? cls_ : sep_, sep_, 0, with_offsets);
    }
  }
  bool needs_values() const override { return trims_; }

 private:
  const int32_t cls_, sep_;
  const bool trims_, add_prefix_space_;
};

// Byte-level BPE's: trims offsets only.
class ByteLevel final : public PostProcessor {
 public:
  ByteLevel(bool trims, bool add_prefix_space)
      : trims_(trims), add_prefix_space_(add_prefix_space) {}
  int32_t added_tokens(bool) const override { return 0; }
  void process(std::vector<TokenRun>& runs, bool, bool with_offsets) const override {
    if (!trims_ || !with_offsets) return;
    for (TokenRun& run : runs) trim_offsets(run, add_prefix_space_);
  }
  bool needs_values() const override { return trims_; }

 private:
  const bool trims_, add_prefix_space_;
};

class Sequence final : public PostProcessor {
 public:
  explicit Sequence(std::vector<std::unique_ptr<PostProcessor>> parts) : parts_(std::move(parts)) {}
  int32_t added_tokens(bool pair) const override {
    int32_t sum = 0;
    for (const auto& part : parts_) sum += part->added_tokens(pair);
    return sum;
  }
  void process(std::vector<TokenRun>& runs, bool add_special_tokens,
               bool with_offsets) const override {
    for (const auto& part : parts_) part->process(runs, add_special_tokens, with_offsets);
  }
  bool needs_values() const override {
    for (const auto& part : parts_)
      if (part->needs_values()) return true;
    return false;
  }

 private:
  const std::vector<std::unique_ptr<PostProcessor>> parts_;
};

Result<std::unique_ptr<PostProcessor>> make_bert(const JsonObject& config) {
  SIS_ASSIGN(const int32_t cls, read_special(config, "cls"));
  SIS_ASSIGN(const int32_t sep, read_special(config, "sep"));
  return std::unique_ptr<PostProcessor>(std::make_unique<BertProcessing>(cls, sep));
}

Result<std::unique_ptr<PostProcessor>> make_roberta(const JsonObject& config) {
  SIS_ASSIGN(const int32_t cls, read_special(config, "cls"));
  SIS_ASSIGN(const int32_t sep, read_special(config, "sep"));
  SIS_ASSIGN(const bool trims, config.boolean("trim_offsets", true));
  SIS_ASSIGN(const bool add_prefix_space, config.boolean("add_prefix_space", true));
  return std::unique_ptr<PostProcessor>(
      std::make_unique<RobertaProcessing>(cls, sep, trims, add_prefix_space));
}

Result<std::unique_ptr<PostProcessor>> make_byte_level(const JsonObject& config) {
  SIS_ASSIGN(const bool trims, config.boolean("trim_offsets", true));
  SIS_ASSIGN(const bool add_prefix_space, config.boolean("add_prefix_space", true));
  return std::unique_ptr<PostProcessor>(std::make_unique<ByteLevel>(trims, add_prefix_space));
}

Result<std::unique_ptr<PostProcessor>> make_sequence(const JsonObject& config) {
  SIS_ASSIGN(const auto configs, config.array("processors"));
  std::vector<std::unique_ptr<PostProcessor>> parts;
  SIS_TRY(configs.for_each_object([&](const JsonObject& part) -> Status {
    SIS_ASSIGN(auto made, make_post_processor(part));
    parts.push_back(std::move(made));
    return {};
  }));
  return std::unique_ptr<PostProcessor>(std::make_unique<Sequence>(std::move(parts)));
}

constexpr RegistryRow<PostProcessor> kPostProcessors[] = {
    {"BertProcessing", make_bert},
    {"ByteLevel", make_byte_level},
    {"RobertaProcessing", make_roberta},
    {"Sequence", make_sequence},
    {"TemplateProcessing", make_template_processing},
};

}  // namespace

Result<std::unique_ptr<PostProcessor>> make_post_processor(const JsonObject& config) {
  return make_by_type<PostProcessor>(kPostProcessors, config);
}

void trim_offsets(TokenRun& run, bool add_prefix_space) {
  for (size_t i = 0; i < run.offsets.size() && i < run.values.size(); ++i) {
    const std::string_view value = run.values[i];
    size_t leading = 0, trailing = 0, bytes = 0;
    for (size_t at = 0; at < value.size(); at += bytes, ++leading)
      if (!is_space(decode_utf8(value, at, bytes))) break;
    for (size_t end = value.size(); end > 0; ++trailing) {
      const size_t last = *backward(value, end, 1);
      if (!is_space(decode_utf8(value, last, bytes))) break;
      end = last;
    }
    auto& [begin, end] = run.offsets[i];
    if (leading > 0) {
      if ((i == 0 || begin == 0) && add_prefix_space && leading == 1) leading = 0;
      begin = std::min(
          static_cast<int32_t>(forward(run.input, static_cast<size_t>(begin), leading)), end);
    }
    if (trailing > 0) {
      if (const auto at = backward(run.input, static_cast<size_t>(end), trailing))
        end = std::max(static_cast<int32_t>(*at), begin);
    }
  }
}

}  // namespace sis::text::tok
