#include "infer/text/grammar/schema_set.h"

#include <algorithm>

#include "infer/text/grammar/hash_index.h"
#include "infer/text/grammar/schema_shape.h"

namespace sis::text::grammar {
namespace {

constexpr size_t kAlternativesMax = 1000;  // of one set
constexpr int kWayMax = 100;               // references and combinations, one inside the other
constexpr uint32_t kNoWay = UINT32_MAX;

std::string unescaped_pointer(std::string_view part) {
  std::string decoded;
  for (size_t i = 0; i < part.size(); ++i) {
    const auto hex = [&](size_t at) {
      const char c = at < part.size() ? part[at] : 'x';
      return c >= '0' && c <= '9'                 ? c - '0'
             : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                  : -1;
    };
    if (part[i] == '%' && hex(i + 1) >= 0 && hex(i + 2) >= 0) {
      decoded += static_cast<char>(hex(i + 1) * 16 + hex(i + 2));
      i += 2;
    } else {
      decoded += part[i];
    }
  }
  std::string out;
  for (size_t i = 0; i < decoded.size(); ++i) {
    if (decoded[i] == '~' && i + 1 < decoded.size() &&
        (decoded[i + 1] == '0' || decoded[i + 1] == '1'))
      out += decoded[++i] == '0' ? '~' : '/';
    else
      out += decoded[i];
  }
  return out;
}

}  // namespace

SchemaSets::SchemaSets(const JsonNode& root, std::string path, bool strict, Effort& effort)
    : root_(root), path_(std::move(path)), strict_(strict), effort_(effort) {
  find_places(root, nullptr, "");
}

// As deep as JsonTree allows.
void SchemaSets::find_places(const JsonNode& node, const JsonNode* parent, std::string step) {
  places_[&node] = {parent, std::move(step)};
  for (size_t i = 0; i < node.items.size(); ++i)
    find_places(*node.items[i], &node, concat("[", i, "]"));
  for (const auto& [key, value] : node.members) find_places(*value, &node, "." + key);
  if (const JsonNode* anchor = node.find("$anchor"); anchor != nullptr)
    anchors_.try_emplace(anchor->text, &node);
}

std::string SchemaSets::path_of(const JsonNode& node, std::string_view key) const {
  std::vector<std::string_view> steps;
  for (const JsonNode* at = &node; at != nullptr;) {
    const Place& place = places_.at(at);
    steps.push_back(place.step);
    at = place.parent;
  }
  std::string out = path_;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) out += *step;
  if (!key.empty()) out += concat(".", key);
  // Keys may be anything.
  return out.size() <= 256 ? out : out.substr(0, 253) + "...";
}

Error SchemaSets::wrong(const JsonNode& node, std::string_view key, std::string_view what) const {
  const std::string path = path_of(node, key);
  return {Code::kInvalidArgument, concat(path, ": ", what), path};
}

Result<const JsonNode*> SchemaSets::resolve(const JsonNode& node, const JsonNode& reference) const {
  if (!reference.is(JsonNode::Kind::kString))
    return wrong(node, "$ref", concat("want a string, found ", kind_name(reference.kind)));
  std::string_view pointer = reference.text;
  if (!pointer.starts_with('#'))
    return wrong(node, "$ref",
                 concat(in_quotes(pointer), ": want a reference into this schema (#...)"));
  pointer.remove_prefix(1);
  if (!pointer.empty() && !pointer.starts_with('/')) {
    const auto anchor = anchors_.find(pointer);
    if (anchor == anchors_.end())
      return wrong(node, "$ref", concat(in_quotes(reference.text), ": there is no such $anchor"));
    return anchor->second;
  }
  const JsonNode* at = &root_;
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const size_t end = std::min(pointer.find('/'), pointer.size());
    const std::string part = unescaped_pointer(pointer.substr(0, end));
    pointer.remove_prefix(end);
    const JsonNode* next = at->find(part);
    if (const auto index = parse_int(part); at->is(JsonNode::Kind::kArray) && index &&
                                            *index >= 0 &&
                                            static_cast<size_t>(*index) < at->items.size())
      next = at->items[static_cast<size_t>(*index)];
    if (next == nullptr)
      return wrong(node, "$ref",
                   concat(in_quotes(reference.text), ": there is no ", in_quotes(part), " in ",
                          path_of(*at)));
    at = next;
  }
  return at;
}

Result<std::vector<SchemaSet>> SchemaSets::alternatives(const SchemaSet& set, bool check_one_of) {
  std::vector<Way> ways;
  std::vector<SchemaSet> out;
  Draft first;
  for (auto node = set.rbegin(); node != set.rend(); ++node)
    first.pending.push_back({*node, kNoWay});
  std::vector<Draft> drafts{std::move(first)};  // the next one last
  while (!drafts.empty()) {
    effort_.work(static_cast<int64_t>(drafts.back().nodes.size()) + 16);
    SIS_TRY(effort_.status());
    Draft draft = std::move(drafts.back());
    drafts.pop_back();
    SIS_TRY(advance(std::move(draft), ways, drafts, out, check_one_of));
    if (drafts.size() + out.size() > kAlternativesMax)
      return wrong(*set.front(), "",
                   concat("its choices make more than ", kAlternativesMax, " combinations"));
  }
  return out;
}

Status SchemaSets::advance(Draft draft, std::vector<Way>& ways, std::vector<Draft>& drafts,
                           std::vector<SchemaSet>& out, bool check_one_of) {
  QuickSet met;  // draft.nodes
  for (const JsonNode* node : draft.nodes) met.add(reinterpret_cast<uintptr_t>(node));
  while (!draft.pending.empty()) {
    const auto [node, way] = draft.pending.back();
    draft.pending.pop_back();
    if (node->is(JsonNode::Kind::kBool)) {
      if (!node->boolean) return {};
      continue;
    }
    if (!node->is(JsonNode::Kind::kObject))
      return wrong(*node, "", concat("want a schema, found ", kind_name(node->kind)));
    for (uint32_t at = way; at != kNoWay; at = ways[at].before)
      if (ways[at].node == node) return wrong(*node, "", "refers to itself without end");
    if (!effort_.work(4)) return effort_.status();
    if (!met.add(reinterpret_cast<uintptr_t>(node))) continue;
    draft.nodes.push_back(node);

    const int length = way == kNoWay ? 1 : ways[way].length + 1;
    if (length > kWayMax) return wrong(*node, "", "references nested too deep");
    const auto ours = static_cast<uint32_t>(ways.size());
    ways.push_back({node, way, length});
    const JsonNode* all = node->find("allOf");
    if (all != nullptr) {
      if (!all->is(JsonNode::Kind::kArray))
        return wrong(*node, "allOf", concat("want an array, found ", kind_name(all->kind)));
      for (auto part = all->items.rbegin(); part != all->items.rend(); ++part)
        draft.pending.push_back({*part, ours});
    }
    if (const JsonNode* reference = node->find("$ref"); reference != nullptr) {
      SIS_ASSIGN(const JsonNode* target, resolve(*node, *reference));
      draft.pending.push_back({target, ours});
    }
    std::vector<const JsonNode*> choices;
    for (const char* key : {"anyOf", "oneOf"}) {
      const JsonNode* branches = node->find(key);
      if (branches == nullptr) continue;
      if (!branches->is(JsonNode::Kind::kArray) || branches->items.empty())
        return wrong(*node, key, "want an array with at least one schema");
      if (check_one_of && key == std::string_view("oneOf"))
        SIS_TRY(check_disjoint(*node, *branches));
      choices.push_back(branches);
    }
    if (choices.empty()) continue;
    // One draft for every choice of a branch, the first on top.
    std::vector<Draft> made{std::move(draft)};
    for (const JsonNode* branches : choices) {
      std::vector<Draft> next;
      if (made.size() * branches->items.size() > kAlternativesMax)
        return wrong(*node, "",
                     concat("its choices make more than ", kAlternativesMax, " combinations"));
      for (const Draft& one : made) {
        // What a copy keeps, in states of 64 bytes; small ones are bounded by their number.
        const auto kept = static_cast<int64_t>(one.nodes.size() + one.pending.size());
        for (const JsonNode* branch : branches->items) {
          effort_.spend(kept / 8);
          SIS_TRY(effort_.status());
          next.push_back(one);
          next.back().pending.push_back({branch, ours});
        }
      }
      made = std::move(next);
    }
    for (auto one = made.rbegin(); one != made.rend(); ++one) drafts.push_back(std::move(*one));
    return {};
  }
  out.push_back(std::move(draft.nodes));
  return {};
}

Status SchemaSets::check_disjoint(const JsonNode& node, const JsonNode& branches) {
  if (!strict_ || !disjoint_.insert(&branches).second) return {};
  std::vector<SchemaFacts> facts;
  for (const JsonNode* branch : branches.items) {
    SIS_ASSIGN(SchemaFacts one, facts_of(*this, {branch}, /*with_properties=*/true));
    if (one.types_written == kObjectType) object_only_.insert(branch);
    facts.push_back(std::move(one));
  }
  for (size_t i = 0; i < facts.size(); ++i)
    for (size_t k = i + 1; k < facts.size(); ++k) {
      effort_.work(16);
      SIS_TRY(effort_.status());
      if (!are_disjoint(facts[i], facts[k], effort_))
        return wrong(node, "oneOf",
                     concat("branches ", i, " and ", k,
                            " may both accept a value: want types, const or enum that tell them "
                            "apart (or anyOf)"));
    }
  return {};
}

}  // namespace sis::text::grammar
