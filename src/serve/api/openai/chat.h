// The routes POST /v1/chat/completions and POST /v1/completions: check, submit to the model's
// service, answer whole or as a stream of server-sent events.
//
// Small bodies are parsed on the I/O thread, large ones on the prep pool. Built before serving,
// then read-only but for the list of open streams.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/task_pool.h"
#include "net/http_server.h"
#include "serve/api/observer.h"
#include "serve/api/openai/chat_json.h"
#include "serve/api/openai/open_streams.h"
#include "serve/api/openai/stream.h"
#include "serve/tasks/generate.h"
#include "telemetry/log.h"

namespace sis::api {

// What parsing must know of the model; nothing when it does not generate.
FoundModel model_for_parsing(const std::string& name, const GenerationModel& model);

struct ChatOptions {
  GenerationOptions generation;
  bool strict_fields = false;  // unknown fields are refused
  int64_t prompts_max = 32;    // of /v1/completions
  size_t parse_inline_bytes_max = 16 << 10;
};

class ChatRoutes {
 public:
  // `prep` parses and prints large bodies, `writers` feeds streams (one thread serves thousands).
  // `unknown` hears of requests that name no loaded model. All references outlive the routes.
  ChatRoutes(const ChatOptions& options, admission::Gate& gate, TaskPool& prep, TaskPool& writers,
             const Clock& clock, RequestObserver& unknown, telemetry::Logger log);

  using Model = GenerationModel;
  void add(const std::string& name, const Model& model);
  // A loaded model that does something else: asking it to chat is 400, not 404.
  void add_other(const std::string& name, RequestObserver& observer);

  // Chats whose answer is certain (greedy, one choice, whole) look here first. Before serving.
  void use_cache(cache::ResponseCache& cache) { cache_ = &cache; }

  void chat(std::shared_ptr<net::Exchange> exchange);
  void completions(std::shared_ptr<net::Exchange> exchange);

  // Keeps quiet streams alive; to be called every few milliseconds, looks every second or so.
  void sweep();

 private:
  struct Entry {
    Model model;
    RequestObserver* observer = nullptr;
  };
  using Parse = Result<GenerationPlan> (ChatRoutes::*)(std::string_view body,
                                                       const FindModel& find) const;

  void handle(std::shared_ptr<net::Exchange> exchange, const GenerationPlace& place, Parse parse);
  void start(const std::shared_ptr<Generation>& generation, Parse parse);
  Result<GenerationPlan> parse_chat(std::string_view body, const FindModel& find) const;
  Result<GenerationPlan> parse_completions(std::string_view body, const FindModel& find) const;
  AnswerHead head(const char* id_prefix, const std::string& model) const;

  const ChatOptions options_;
  TaskPool& prep_;
  RequestObserver& unknown_;
  const telemetry::Logger log_;
  const GenerationPlace chat_place_, completions_place_;
  std::map<std::string, Entry, std::less<>> models_;
  cache::ResponseCache* cache_ = nullptr;

  OpenStreams streams_;
};

}  // namespace sis::api
