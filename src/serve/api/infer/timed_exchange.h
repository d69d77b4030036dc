// An exchange whose answer says how long it took: X-Response-Time, in milliseconds. Of a stream,
// until its first event.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "base/clock.h"
#include "net/http_server.h"

namespace sis::api {

class TimedExchange final : public net::Exchange {
 public:
  TimedExchange(std::shared_ptr<net::Exchange> inner, const Clock& clock)
      : inner_(std::move(inner)), clock_(clock), received_at_(inner_->request().received_at) {}

  net::HttpRequest& request() override { return inner_->request(); }
  void respond(net::HttpResponse response) override { inner_->respond(timed(std::move(response))); }
  void start_stream(net::HttpResponse head) override {
    inner_->start_stream(timed(std::move(head)));
  }
  bool write(std::string_view bytes) override { return inner_->write(bytes); }
  void finish_stream() override { inner_->finish_stream(); }
  void on_cancel(std::function<void()> callback) override {
    inner_->on_cancel(std::move(callback));
  }
  bool cancelled() const override { return inner_->cancelled(); }

 private:
  net::HttpResponse timed(net::HttpResponse response) const {
    response.headers.emplace_back("X-Response-Time",
                                  fmt::format("{:.2f}", to_ms(clock_.now() - received_at_)));
    return response;
  }

  const std::shared_ptr<net::Exchange> inner_;
  const Clock& clock_;
  const TimePoint received_at_;
};

}  // namespace sis::api
