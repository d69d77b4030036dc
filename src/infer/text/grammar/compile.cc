#include "infer/text/grammar/compile.h"

#include <algorithm>

#include "base/check.h"
#include "infer/text/grammar/char_set.h"
#include "infer/text/grammar/ebnf.h"
#include "infer/text/grammar/json_rules.h"
#include "infer/text/grammar/matcher.h"
#include "infer/text/grammar/regex_syntax.h"
#include "infer/text/grammar/schema.h"
#include "infer/text/grammar/source_node.h"

namespace sis::text {
namespace {

using namespace grammar;
using Kind = GrammarSource::Node::Kind;

constexpr int kSourceDepthMax = 64;
constexpr size_t kLiteralBytesMax = 1 << 20;
constexpr size_t kStopCharactersMax = 1024;  // of any_text_until's and any_text_without's text

class SourceCompiler {
 public:
  SourceCompiler(AutomatonBuilder& builder, const GrammarVocabulary& vocabulary)
      : builder_(builder), vocabulary_(vocabulary) {}

  Status add(const GrammarSource& source, StateId from, StateId to, int depth) {
    SIS_TRY(builder_.effort().status());
    if (depth > kSourceDepthMax)
      return Error{Code::kInvalidArgument,
                   concat("grammar: sources nested deeper than ", kSourceDepthMax)};
    const GrammarSource::Node& node = source.node();
    switch (node.kind) {
      case Kind::kLiteral:
        return add_literal(node.text, from, to);
      case Kind::kRegex: {
        SIS_ASSIGN(const Regex regex, parse_regex(node.text, RegexUse::kWhole));
        add_regex(builder_, from, regex, Spelling::kUtf8, to, "regex");
        return {};
      }
      case Kind::kEbnf: {
        SIS_ASSIGN(const RuleId rule, add_ebnf(builder_, node.text));
        builder_.call(from, rule, to);
        return {};
      }
      case Kind::kJsonSchema: {
        SIS_ASSIGN(const RuleId rule, add_json_schema(builder_, node.text, node.json));
        builder_.call(from, rule, to);
        return {};
      }
      case Kind::kJsonObject:
        builder_.call(from, JsonRules(builder_, node.json.line_breaks).object(), to);
        return {};
      case Kind::kAnyText: {
        const StateId any = builder_.add_state();
        builder_.empty(from, any);
        add_char(builder_, any, CharSet::all(), Spelling::kUtf8, any);
        builder_.empty(any, to);
        return {};
      }
      case Kind::kAnyTextUntil:
      case Kind::kAnyTextWithout:
        return add_text_around(node, from, to);
      case Kind::kSequence:
        for (const GrammarSource& part : node.parts) {
          const StateId next = builder_.add_state();
          SIS_TRY(add(part, from, next, depth + 1));
          from = next;
        }
        builder_.empty(from, to);
        return {};
      case Kind::kChoice:
        for (const GrammarSource& part : node.parts) SIS_TRY(add(part, from, to, depth + 1));
        return {};
      case Kind::kRepeat:
        return add_repeat(node, from, to, depth);
    }
    return {};
  }

 private:
  Status add_literal(std::string_view text, StateId from, StateId to) {
    if (text.size() > kLiteralBytesMax)
      return Error{Code::kInvalidArgument, concat("grammar: literal of ", text.size(),
                                                  " bytes, want at most ", kLiteralBytesMax)};
    if (!is_utf8(text))
      return Error{Code::kInvalidArgument,
                   concat("grammar: literal ", in_quotes(text), " is not UTF-8")};
    std::vector<StateId> states{from};  // behind the first i bytes
    for (size_t i = 0; i < text.size(); ++i) {
      states.push_back(builder_.add_state());
      const auto byte = static_cast<uint8_t>(text[i]);
      builder_.bytes(states[i], byte, byte, states[i + 1]);
    }
    builder_.empty(states.back(), to);
    for (const auto& [name, id] : vocabulary_.control_tokens()) {
      if (vocabulary_.is_eos(id)) continue;
      for (size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1))
        builder_.token(states[at], id, states[at + name.size()]);
    }
    return {};
  }

  Status add_repeat(const GrammarSource::Node& node, StateId from, StateId to, int depth) {
    const uint32_t max = node.max.value_or(kUnbounded);
    if (node.min > kRepeatMax || (node.max && *node.max > kRepeatMax) || max < node.min)
      return Error{Code::kInvalidArgument,
                   concat("grammar: repeated ", node.min, " to ", max,
                          " times, want counts in order of at most ", kRepeatMax)};
    const RuleId rule = builder_.add_rule("repeated part");
    SIS_TRY(add(node.parts[0], builder_.rule(rule).start, builder_.rule(rule).end, depth + 1));
    builder_.call(from, builder_.add_repeat(rule, node.min, max), to);
    return {};
  }

  // Knuth, Morris and Pratt's automaton over characters: state i has seen the longest beginning of
  // the stop text, of i characters, that ends here. The whole stop text either ends the text or is
  // not in it.
  Status add_text_around(const GrammarSource::Node& node, StateId from, StateId to) {
    if (node.text.empty() || !is_utf8(node.text))
      return Error{Code::kInvalidArgument, "grammar: text to stop at: want some UTF-8"};
    const std::u32string stop = code_points(node.text);
    if (stop.size() > kStopCharactersMax)
      return Error{Code::kInvalidArgument,
                   concat("grammar: text to stop at: ", stop.size(), " characters, want at most ",
                          kStopCharactersMax)};
    const size_t count = stop.size();
    const bool ends = node.kind == Kind::kAnyTextUntil;
    std::vector<size_t> fallback(count, 0);  // of the beginning with i + 1 characters
    for (size_t i = 1, k = 0; i < count; ++i) {
      while (k > 0 && stop[i] != stop[k]) k = fallback[k - 1];
      if (stop[i] == stop[k]) ++k;
      fallback[i] = k;
    }
    std::vector<StateId> states(count);
    for (StateId& state : states) state = builder_.add_state();
    builder_.empty(from, states[0]);
    for (size_t i = 0; i < count; ++i) {
      // Where characters of the stop text lead; all others lead to the beginning.
      CharSet told;
      for (size_t k = i;; k = fallback[k - 1]) {
        if (!told.contains(stop[k])) {
          CharSet one;
          one.add(stop[k]);
          told.add(one);
          if (k + 1 < count)
            add_char(builder_, states[i], one, Spelling::kUtf8, states[k + 1]);
          else if (ends)
            add_char(builder_, states[i], one, Spelling::kUtf8, to);
        }
        if (k == 0) break;
      }
      add_char(builder_, states[i], told.negated(), Spelling::kUtf8, states[0]);
      if (!ends) {
        builder_.empty(states[i], to);
        continue;
      }
      if (const auto id = vocabulary_.control_token(node.text); id && !vocabulary_.is_eos(*id))
        builder_.token(states[i], *id, to);
    }
    return builder_.effort().status();
  }

  AutomatonBuilder& builder_;
  const GrammarVocabulary& vocabulary_;
};

}  // namespace

Result<std::shared_ptr<const Grammar>> compile(const GrammarSource& source,
                                               std::shared_ptr<const GrammarVocabulary> vocabulary,
                                               const GrammarBudget& budget) {
  SIS_CHECK(vocabulary != nullptr, "compile() without a vocabulary");
  Effort effort(budget);
  AutomatonBuilder builder(effort);
  const RuleId root = builder.add_rule("text");
  SIS_TRY(SourceCompiler(builder, *vocabulary)
              .add(source, builder.rule(root).start, builder.rule(root).end, /*depth=*/0));
  SIS_ASSIGN(Automaton automaton, builder.finish(root));
  auto made = std::make_shared<const CompiledGrammar>(std::move(automaton), std::move(vocabulary),
                                                      budget.cache_bytes);
  if (!made->can_begin())
    return Error{Code::kInvalidArgument,
                 "grammar: too ambiguous: more can stand at its beginning than can be followed"};
  return std::shared_ptr<const Grammar>(std::move(made));
}

bool accept_text(GrammarMatcher& matcher, std::string_view text) {
  auto* ours = dynamic_cast<Matcher*>(&matcher);
  SIS_CHECK(ours != nullptr, "accept_text() of a matcher that compile() did not make");
  return ours->accept_text(text);
}

}  // namespace sis::text
