// Which tokens may come next so that the text stays inside a grammar.
//
// A Grammar is compiled once per (grammar, vocabulary), immutable and shared by any number of
// matchers on any threads. A GrammarMatcher is one choice's place in it; one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace sis::text {

class GrammarMatcher {
 public:
  virtual ~GrammarMatcher() = default;

  // Bit i of the mask (word i / 64) says that token i may come next; ids from `vocab_size` on are
  // 0. An end-of-sequence token's bit is set exactly when the text so far is complete.
  // `words` has (vocab_size + 63) / 64 elements.
  virtual void mask(std::span<uint64_t> words) = 0;
  // Moves on by one token. False, and nothing changes, when the token is not allowed.
  virtual bool accept(int32_t token) = 0;
  // The text so far is a whole sentence of the grammar.
  virtual bool complete() const = 0;
  // The text so far is a whole sentence and nothing may follow but the end of the sequence.
  virtual bool finished() const = 0;
  // Following the grammar has cost more than any sensible one does: masks are empty from here on.
  virtual bool exhausted() const = 0;
  virtual std::unique_ptr<GrammarMatcher> clone() const = 0;
};

class Grammar {
 public:
  virtual ~Grammar() = default;
  virtual std::unique_ptr<GrammarMatcher> start() const = 0;
  virtual size_t bytes() const = 0;  // memory held, for caches
};

}  // namespace sis::text
