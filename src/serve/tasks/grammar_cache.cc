#include "serve/tasks/grammar_cache.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/strings.h"

namespace sis::tasks {

std::shared_ptr<const text::Grammar> GrammarCache::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  return use(key);
}

std::shared_ptr<const text::Grammar> GrammarCache::use(const std::string& key) {
  const auto it = index_.find(key);
  if (it == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it->second);
  auto found = it->second->grammar;
  trim();
  return found;
}

void GrammarCache::get(const std::string& key, const std::function<Made()>& make, Done done) {
  std::shared_ptr<const text::Grammar> found;
  {
    const std::lock_guard lock(mutex_);
    found = use(key);
    if (!found) {
      const auto [waiting, first] = making_.try_emplace(key);
      if (!first) {
        waiting->second.push_back(std::move(done));
        return;
      }
    }
  }
  if (found) return done(std::move(found));

  const Made made = [&]() -> Made {
    try {
      return make();
    } catch (const std::exception& fault) {
      return Error{Code::kInternal, concat("grammar: could not be made: ", fault.what())};
    }
  }();
  std::vector<Done> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting = std::move(making_.extract(key).mapped());
    if (made.ok()) {
      entries_.push_front({key, *made});
      index_[key] = entries_.begin();
      trim();
    }
  }
  done(made);
  for (const auto& other : waiting) other(made);
}

// Grammars grow while they are used, so all are asked again each time.
void GrammarCache::trim() {
  size_t bytes = 0;
  for (const auto& entry : entries_) bytes += entry.key.size() + entry.grammar->bytes();
  while (!entries_.empty() && (entries_.size() > limits_.entries || bytes > limits_.bytes)) {
    const Entry& oldest = entries_.back();
    bytes -= std::min(bytes, oldest.key.size() + oldest.grammar->bytes());
    index_.erase(oldest.key);
    entries_.pop_back();
  }
}

size_t GrammarCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace sis::tasks
