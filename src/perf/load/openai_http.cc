#include "perf/load/openai_http.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client.h"
#include "perf/load/json_file.h"

namespace sis::perf {

Result<std::string> post_bytes(const JsonPost& post, std::string body) {
  net::FetchRequest request{.method = "POST", .target = net::join_target(post.url, post.path)};
  request.headers = {
      {"Content-Type", "application/json"}, {"Accept", post.accept}, {"User-Agent", "sis-bench"}};
  if (!post.api_key.empty())
    request.headers.emplace_back("Authorization", concat("Bearer ", post.api_key));
  if (!post.keep_alive) request.headers.emplace_back("Connection", "close");
  request.body = std::move(body);
  return net::request_bytes(post.url, request);
}

std::string error_message(std::string_view body) {
  constexpr size_t kShown = 200;
  if (trim(body).empty()) return "empty body";
  // Bounded in depth: what is shown is walked recursively.
  const auto parsed = parse_json_text(std::string(body.substr(0, 64 << 10)), "error");
  if (parsed.ok() && parsed->is_object()) {
    const auto& json = *parsed;
    for (const char* key : {"error", "detail", "message"}) {
      const auto found = json.find(key);
      if (found == json.end()) continue;
      if (found->is_string()) {
        // {"error": "not_found", "detail": "..."}: a code, and what it means.
        const auto detail = json.find("detail");
        const bool both = key[0] == 'e' && detail != json.end() && detail->is_string() &&
                          !detail->get_ref<const std::string&>().empty() && *detail != *found;
        return in_quotes(both ? concat(found->get_ref<const std::string&>(), ": ",
                                       detail->get_ref<const std::string&>())
                              : found->get<std::string>(),
                         kShown);
      }
      if (found->is_object() && found->contains("message") && (*found)["message"].is_string())
        return in_quotes((*found)["message"].get_ref<const std::string&>(), kShown);
      return in_quotes(found->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                       kShown);
    }
  }
  return in_quotes(body, kShown);
}

Judgement wrong_status(const Answer& answer) {
  return {.status_fault = true,
          .error = concat("status ", answer.status, ": ", error_message(answer.body))};
}

}  // namespace sis::perf
