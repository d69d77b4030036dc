// A GrammarSource and a vocabulary to a Grammar.
//
// Compiling takes the time of the source's size; token masks are made when they are first asked
// for, and kept. Any thread; the result is shared by any number of requests.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "infer/text/grammar/effort.h"
#include "infer/text/grammar/grammar.h"
#include "infer/text/grammar/source.h"
#include "infer/text/grammar/vocabulary.h"

namespace sis::text {

// kInvalidArgument, always with the part at fault in the message and for schemas also in `param`
// ("schema.properties.a.not"): what cannot be read, what is not supported, what no text can match,
// what goes over the budget.
Result<std::shared_ptr<const Grammar>> compile(const GrammarSource& source,
                                               std::shared_ptr<const GrammarVocabulary> vocabulary,
                                               const GrammarBudget& budget = {});

// Moves a matcher of such a grammar on by text that did not come as tokens. False, and nothing
// changes, when it is refused.
bool accept_text(GrammarMatcher& matcher, std::string_view text);

}  // namespace sis::text
