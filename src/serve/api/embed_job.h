// One request to an EmbedService on its way, whatever its wire format: the model's breaker, the
// gate, the ticket, the client's leaving, and the one account of how it ended.
//
// Shared, because the socket's side (disconnect) and the service's side (answer) both hold it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "base/task_pool.h"
#include "net/http_server.h"
#include "serve/admission/breaker.h"
#include "serve/admission/gate.h"
#include "serve/api/observer.h"
#include "serve/api/request_trace.h"
#include "serve/tasks/embed.h"
#include "telemetry/log.h"

namespace sis::api {

// Who embeds, ranks or classifies.
struct EmbedTarget {
  tasks::EmbedService* service = nullptr;  // null: the model does something else
  admission::Lane* lane = nullptr;         // of the gate; null: nothing is forecast
  admission::Breaker* breaker = nullptr;   // null: the model is always asked
};

class EmbedJob : public std::enable_shared_from_this<EmbedJob> {
 public:
  // `event` names the log line. The gate, the pool, the log and the observer outlive the job; the
  // observer is `unknown` until found_model(). `prep` writes large answers that come on a
  // connection's thread.
  EmbedJob(std::shared_ptr<net::Exchange> exchange, admission::Gate& gate, TaskPool& prep,
           const telemetry::Logger& log, const char* event, RequestObserver& unknown);
  virtual ~EmbedJob() = default;

  net::HttpRequest& http() { return exchange_->request(); }
  // From here on the request counts as this model's. Error: its client may not use it.
  Status found_model(const std::string& name, RequestObserver& observer);

  // Answers an error before anything was submitted.
  void refuse(const Error& error);
  void refuse(net::HttpResponse response);
  // The request is read and checked. `timeout`: as its body says. At most once.
  void run(const EmbedTarget& target, tasks::EmbedRequest request,
           std::optional<Duration> timeout = std::nullopt);
  // Answers what needs no model.
  void answer(Result<tasks::EmbedAnswer> result);

 protected:
  // `fallback`: when to come back where the error does not say; zero: nothing is said.
  virtual net::HttpResponse error(const Error& error, Duration fallback) const = 0;
  virtual Result<net::HttpResponse> write(const tasks::EmbedAnswer& answer) = 0;

 private:
  void account(int status, Duration queue = {}, int32_t cache_hits = 0);
  void fail(const Error& error);
  void submit(tasks::EmbedService& service, Result<admission::Place> place);
  void let_go();
  void write_answer(tasks::EmbedAnswer answer);

  const std::shared_ptr<net::Exchange> exchange_;
  admission::Gate& gate_;
  TaskPool& prep_;
  const telemetry::Logger& log_;
  const char* const event_;
  const std::shared_ptr<RequestTrace> trace_;
  RequestObserver* observer_;
  tasks::EmbedRequest request_;  // until it is submitted
  size_t texts_ = 0;
  admission::Breaker::Pass pass_;
  bool computed_ = false;  // vectors from the cache say nothing about the model
  std::atomic<bool> accounted_{false};

  std::mutex mutex_;  // guards what follows
  std::unique_ptr<admission::Gate::Wait> wait_;
  admission::Place place_;
  std::unique_ptr<tasks::EmbedService::Ticket> ticket_;
  Duration waited_{};  // for the place
  bool over_ = false;
};

}  // namespace sis::api
