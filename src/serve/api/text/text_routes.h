// The routes that need no device: POST /tokenize, /detokenize, /decode and /apply-template.
//
// Work takes a place at a gate of its own and runs on the prep pool. Built before serving, then
// read-only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/task_pool.h"
#include "net/http_server.h"
#include "serve/admission/gate.h"
#include "serve/api/request_trace.h"
#include "serve/api/text/tokenize_json.h"
#include "serve/tasks/text_model.h"

namespace sis::api {

class TextRoutes {
 public:
  // Over `timeout` before its turn comes: 504.
  TextRoutes(const TextLimits& limits, Duration timeout, admission::Gate& gate, TaskPool& prep)
      : limits_(limits), timeout_(timeout), gate_(gate), prep_(prep) {}

  // The first model, and the first with a template, answer requests that name none.
  void add(tasks::TextModel model) { models_.push_back(std::move(model)); }

  void tokenize(std::shared_ptr<net::Exchange> exchange) const;
  void detokenize(std::shared_ptr<net::Exchange> exchange) const;
  void apply_template(std::shared_ptr<net::Exchange> exchange) const;

 private:
  using Work = Result<std::string> (TextRoutes::*)(const net::HttpRequest& request,
                                                   RequestTrace& trace) const;
  void run(std::shared_ptr<net::Exchange> exchange, Work work) const;
  // Among those the client may use.
  Result<const tasks::TextModel*> find(const net::HttpRequest& request, const std::string& name,
                                       bool with_template) const;
  Result<std::string> tokenize_body(const net::HttpRequest& request, RequestTrace& trace) const;
  Result<std::string> detokenize_body(const net::HttpRequest& request, RequestTrace& trace) const;
  Result<std::string> apply_body(const net::HttpRequest& request, RequestTrace& trace) const;

  const TextLimits limits_;
  const Duration timeout_;
  admission::Gate& gate_;
  TaskPool& prep_;
  std::vector<tasks::TextModel> models_;
};

}  // namespace sis::api
