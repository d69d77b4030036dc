// TemplateProcessing: the order of sequences and special tokens is spelled out in the file.
#include <unordered_map>

#include "infer/text/tokenizer/post_processor.h"

namespace sis::text::tok {
namespace {

constexpr size_t kPiecesMax = 256, kIdsMax = 256;

struct TemplatePiece {
  int sequence = -1;         // 0 or 1; -1: special tokens
  std::vector<int32_t> ids;  // of the special tokens
  int32_t type_id = 0;
};
using Template = std::vector<TemplatePiece>;

class TemplateProcessing final : public PostProcessor {
 public:
  TemplateProcessing(Template single, Template pair)
      : single_(std::move(single)), pair_(std::move(pair)) {}

  int32_t added_tokens(bool pair) const override {
    size_t count = 0;
    for (const TemplatePiece& piece : pair ? pair_ : single_) count += piece.ids.size();
    return static_cast<int32_t>(count);
  }

  void process(std::vector<TokenRun>& runs, bool add_special_tokens,
               bool with_offsets) const override {
    // After another template there are more runs than sequences; there is nothing left to place
    // then.
    if (runs.empty() || runs.size() > 2) return;
    const Template& pieces = runs.size() == 2 ? pair_ : single_;
    std::vector<TokenRun> out;
    out.reserve(pieces.size());
    for (size_t i = 0; i < pieces.size(); ++i) {
      const TemplatePiece& piece = pieces[i];
      TokenRun run;
      if (piece.sequence >= 0) {
        const auto sequence = static_cast<size_t>(piece.sequence);
        if (used_again(pieces, i))
          run = runs[sequence];
        else
          run = std::move(runs[sequence]);
        run.type_ids.assign(run.ids.size(), piece.type_id);
      } else if (add_special_tokens) {
        run.ids = piece.ids;
        run.type_ids.assign(run.ids.size(), piece.type_id);
        if (with_offsets) run.offsets.assign(run.ids.size(), {0, 0});
      } else {
        continue;
      }
      out.push_back(std::move(run));
    }
    runs = std::move(out);
  }

 private:
  static bool used_again(const Template& pieces, size_t at) {
    for (size_t i = at + 1; i < pieces.size(); ++i)
      if (pieces[i].sequence == pieces[at].sequence) return true;
    return false;
  }

  const Template single_, pair_;
};

using SpecialTokens = std::unordered_map<std::string_view, std::vector<int32_t>>;

Result<SpecialTokens> read_special_tokens(const JsonObject& config) {
  SpecialTokens special;
  if (!config.find("special_tokens")) return special;
  SIS_ASSIGN(const JsonObject all, config.object("special_tokens"));
  for (const auto& [name, element] : all.raw()) {
    SIS_ASSIGN(const JsonObject token,
               JsonObject::from(element, all.path_of(name), all.depth() + 1));
    SIS_ASSIGN(const JsonArray ids, token.array("ids"));
    std::vector<int32_t>& list = special[name];
    list.clear();
    SIS_TRY(ids.for_each([&](simdjson::dom::element id_element, size_t index) -> Status {
      int64_t id = 0;
      if (id_element.get(id) != simdjson::SUCCESS || id < 0 || id > INT32_MAX ||
          list.size() >= kIdsMax)
        return Error{Code::kInvalidArgument,
                     concat(ids.path_of(index), ": want an id, and at most ", kIdsMax, " of them")};
      list.push_back(static_cast<int32_t>(id));
      return {};
    }));
  }
  return special;
}

// [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, ...]
Result<Template> read_template(const JsonObject& config, std::string_view key,
                               const SpecialTokens& special) {
  SIS_ASSIGN(const JsonArray list, config.array(key));
  Template pieces;
  SIS_TRY(list.for_each_object([&](const JsonObject& entry) -> Status {
    if (pieces.size() >= kPiecesMax)
      return Error{Code::kInvalidArgument,
                   concat(list.path(), ": more than ", kPiecesMax, " pieces")};
    TemplatePiece piece;
    const bool is_special = entry.find("SpecialToken").has_value();
    SIS_ASSIGN(const JsonObject body, entry.object(is_special ? "SpecialToken" : "Sequence"));
    SIS_ASSIGN(const std::string_view id, body.string("id"));
    SIS_ASSIGN(const int64_t type_id, body.integer("type_id", 0, INT32_MAX, 0));
    piece.type_id = static_cast<int32_t>(type_id);
    if (is_special) {
      const auto at = special.find(id);
      if (at == special.end())
        return Error{Code::kInvalidArgument,
                     concat(body.path_of("id"), ": ", in_quotes(id), " is not in special_tokens")};
      piece.ids = at->second;
    } else if (id == "A" || id == "B") {
      piece.sequence = id == "A" ? 0 : 1;
    } else {
      return Error{Code::kInvalidArgument,
                   concat(body.path_of("id"), ": want A or B, found ", in_quotes(id))};
    }
    pieces.push_back(std::move(piece));
    return {};
  }));
  return pieces;
}

}  // namespace

Result<std::unique_ptr<PostProcessor>> make_template_processing(const JsonObject& config) {
  SIS_ASSIGN(const SpecialTokens special, read_special_tokens(config));
  SIS_ASSIGN(Template single, read_template(config, "single", special));
  SIS_ASSIGN(Template pair, read_template(config, "pair", special));
  for (const TemplatePiece& piece : single) {
    if (piece.sequence == 1)
      return Error{Code::kInvalidArgument,
                   concat(config.path_of("single"), ": names sequence B, but there is only A")};
  }
  return std::unique_ptr<PostProcessor>(
      std::make_unique<TemplateProcessing>(std::move(single), std::move(pair)));
}

}  // namespace sis::text::tok
