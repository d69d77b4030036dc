// Least-recently-used map bounded by entry count. Not thread-safe: its owner locks.
#pragma once

#include <cstddef>
#include <list>
#include <unordered_map>
#include <utility>

namespace sis::cache {

template <class Key, class Value, class Hash = std::hash<Key>>
class Lru {
 public:
  explicit Lru(size_t entries_max) : entries_max_(entries_max) {
    index_.reserve(entries_max < 65536 ? entries_max : 65536);
  }

  // The value, now the most recent; null when absent. Valid until the next put().
  const Value* get(const Key& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, it->second);
    return &it->second->second;
  }

  // Adds or replaces, as the most recent; the oldest goes when there are too many.
  void put(const Key& key, Value value) {
    if (entries_max_ == 0) return;
    if (const auto it = index_.find(key); it != index_.end()) {
      it->second->second = std::move(value);
      order_.splice(order_.begin(), order_, it->second);
      return;
    }
    if (index_.size() >= entries_max_) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(key, std::move(value));
    index_.emplace(key, order_.begin());
  }

  // False when it was not there.
  bool erase(const Key& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return false;
    order_.erase(it->second);
    index_.erase(it);
    return true;
  }

  // The entry that would go next; null when there is none.
  const std::pair<Key, Value>* oldest() const { return order_.empty() ? nullptr : &order_.back(); }

  bool contains(const Key& key) const { return index_.contains(key); }  // age stays
  size_t size() const { return index_.size(); }

 private:
  const size_t entries_max_;
  std::list<std::pair<Key, Value>> order_;  // most recent first
  std::unordered_map<Key, typename std::list<std::pair<Key, Value>>::iterator, Hash> index_;
};

}  // namespace sis::cache
