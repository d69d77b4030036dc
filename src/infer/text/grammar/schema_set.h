// Which parts of a schema hold for a value at once.
//
// A value is described by a set of schema nodes that must all accept it: one node at first, more
// behind allOf, $ref or where two objects of an allOf both know a property. alternatives() follows
// references and resolves choices, so that what is left are sets of nodes whose own keywords
// (schema_shape.h) are all that counts.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "infer/text/grammar/effort.h"
#include "infer/text/grammar/json_tree.h"

namespace sis::text::grammar {

using SchemaSet = std::vector<const JsonNode*>;  // in the order met, each once

class SchemaSets {
 public:
  // `root` is where `path` begins, and outlives this.
  SchemaSets(const JsonNode& root, std::string path, bool strict, Effort& effort);

  // A value is accepted by `set` when it is by one of these. None: by none. A oneOf becomes one
  // branch or another; when strict, it is an error where branches may not exclude each other.
  Result<std::vector<SchemaSet>> alternatives(const SchemaSet& set, bool check_one_of = true);

  // "schema.properties.a", with `key` behind it if there is one.
  std::string path_of(const JsonNode& node, std::string_view key = {}) const;
  Error wrong(const JsonNode& node, std::string_view key, std::string_view what) const;
  // A branch of a oneOf that is told apart from the others as an object: it stays one whatever
  // stands beside the oneOf.
  bool is_object_only(const JsonNode& node) const { return object_only_.contains(&node); }
  bool is_strict() const { return strict_; }
  Effort& effort() { return effort_; }

 private:
  // A node to be looked at and the nodes that led to it, for finding circles.
  struct Pending {
    const JsonNode* node;
    uint32_t way;
  };
  struct Way {
    const JsonNode* node;
    uint32_t before;
    int length;
  };
  // An alternative on its way.
  struct Draft {
    SchemaSet nodes;
    std::vector<Pending> pending;  // the next one last
  };

  void find_places(const JsonNode& node, const JsonNode* parent, std::string step);
  Result<const JsonNode*> resolve(const JsonNode& node, const JsonNode& reference) const;
  Status advance(Draft draft, std::vector<Way>& ways, std::vector<Draft>& drafts,
                 std::vector<SchemaSet>& out, bool check_one_of);
  Status check_disjoint(const JsonNode& node, const JsonNode& branches);

  struct Place {
    const JsonNode* parent;
    std::string step;  // ".properties" or "[3]"
  };
  const JsonNode& root_;
  const std::string path_;
  const bool strict_;
  Effort& effort_;
  std::unordered_map<const JsonNode*, Place> places_;
  std::unordered_map<std::string_view, const JsonNode*> anchors_;
  std::unordered_set<const JsonNode*> disjoint_;  // oneOf arrays that were checked
  std::unordered_set<const JsonNode*> object_only_;
};

}  // namespace sis::text::grammar
