// How fast places come free, and when to tell those that found none to come back.
//
// Each refused request is told of a place of its own: the next one that is likely to be free and
// that nobody was told of yet. So a crowd that is sent away does not return all at once.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace sis::admission {

class Turnover {
 public:
  void enter(TimePoint now);  // someone got in
  void leave(TimePoint now);  // someone left
  // When to come back, from now: 1 ms to 10 s. 1 s while nothing is known.
  Duration hint(TimePoint now);
  // The same without booking it.
  Duration interval() const;

 private:
  int64_t inside_ = 0;
  TimePoint counted_{};    // until here `seconds_` is counted
  double seconds_ = 0;     // with someone inside; older time fades
  double departures_ = 0;  // in that time
  TimePoint promised_{};   // to the last one refused
};

}  // namespace sis::admission
