// Answers go straight to one session, on the calling thread: for tests and the fuzzer.
#pragma once

#include <utility>

#include "net/http_session.h"

namespace sis::net::testing {

class DirectSink final : public AnswerSink {
 public:
  using AnswerSink::AnswerSink;
  void deliver(Answer answer) override {
    if (answer.kind == Answer::Kind::kCall)
      answer.callback();
    else if (session)
      session->handle(answer, now);
  }
  HttpSession* session = nullptr;
  TimePoint now{std::chrono::seconds(1000)};
};

}  // namespace sis::net::testing
