// The names one scope knows, while they are being found out.
//
// A name that is only read belongs to the outermost scope that mentions it; one that is written
// gets a variable here. Branches of an `if` are looked at side by side: each in a layer of its own
// on top of the scope, merged afterwards, because what only some branches set must still find the
// outer value.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <vector>

namespace sis::text::tmpl {

class Symbols {
 public:
  enum class Load : uint8_t {
    kNone,       // not a variable of this scope
    kParameter,  // given by whoever enters the scope
    kContext,    // starts as what render() was given
    kOuter,      // starts as the outer scope's variable
    kMissing,    // starts undefined
  };
  struct Entry {
    Load load = Load::kNone;
    bool stored = false;
  };

  explicit Symbols(const Symbols* parent) : parent_(parent) {}
  static Symbols layer(const Symbols& base) {
    Symbols layer(base.parent_);
    layer.base_ = &base;
    return layer;
  }

  void load(std::string_view name) {
    if (!has_variable(name)) entries_[name].load = Load::kContext;
  }
  void store(std::string_view name) {
    Entry& entry = entries_[name];
    entry.stored = true;
    if (own(name) == Load::kNone)
      entry.load =
          parent_ != nullptr && parent_->has_variable(name) ? Load::kOuter : Load::kMissing;
  }
  void declare_parameter(std::string_view name) { entries_[name] = {Load::kParameter, true}; }

  void merge(const std::vector<Symbols>& layers) {
    std::set<std::string_view> stores;
    for (const Symbols& one : layers)
      for (const auto& [name, entry] : one.entries_)
        if (entry.stored && !is_stored(name)) stores.insert(name);
    for (const Symbols& one : layers)
      for (const auto& [name, entry] : one.entries_) {
        Entry& mine = entries_[name];
        if (entry.load != Load::kNone) mine.load = entry.load;
        mine.stored = mine.stored || entry.stored;
      }
    for (std::string_view name : stores)
      entries_[name].load =
          parent_ != nullptr && parent_->has_variable(name) ? Load::kOuter : Load::kContext;
  }

  const std::map<std::string_view, Entry>& entries() const { return entries_; }

 private:
  Load own(std::string_view name) const {
    for (const Symbols* at = this; at != nullptr; at = at->base_)
      if (const auto found = at->entries_.find(name);
          found != at->entries_.end() && found->second.load != Load::kNone)
        return found->second.load;
    return Load::kNone;
  }
  bool has_variable(std::string_view name) const {
    for (const Symbols* at = this; at != nullptr; at = at->parent_)
      if (at->own(name) != Load::kNone) return true;
    return false;
  }
  bool is_stored(std::string_view name) const {
    for (const Symbols* at = this; at != nullptr; at = at->base_)
      if (const auto found = at->entries_.find(name);
          found != at->entries_.end() && found->second.stored)
        return true;
    return false;
  }

  const Symbols* parent_;
  const Symbols* base_ = nullptr;
  std::map<std::string_view, Entry> entries_;
};

}  // namespace sis::text::tmpl
