// Grammars by what they were made from: one is made once, however many ask for it at the same time.
//
// Bounded by count and by memory, the least recently used go first; requests that hold a grammar
// keep it. Any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "infer/text/grammar/grammar.h"

namespace sis::tasks {

class GrammarCache {
 public:
  using Made = Result<std::shared_ptr<const text::Grammar>>;
  using Done = std::function<void(Made)>;

  struct Limits {
    size_t entries = 64;
    size_t bytes = size_t{256} << 20;  // of grammars, as they say, and of keys
  };
  explicit GrammarCache(const Limits& limits) : limits_(limits) {}

  // Calls `done` exactly once, never under a lock: inside get(), with what is there or what
  // `make` gave, or on the thread of another get() that is making it. Errors are not kept; an
  // exception of `make` is one. `done` does not throw.
  void get(const std::string& key, const std::function<Made()>& make, Done done);

  // What get() would give at once; null: it has to be made.
  std::shared_ptr<const text::Grammar> find(const std::string& key);

  size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const text::Grammar> grammar;
  };
  // Under the mutex:
  std::shared_ptr<const text::Grammar> use(const std::string& key);
  void trim();

  const Limits limits_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // most recent first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
  std::unordered_map<std::string, std::vector<Done>> making_;  // who else waits for it
};

}  // namespace sis::tasks
