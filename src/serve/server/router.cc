#include "serve/server/router.h"

#include <cctype>

#include "base/check.h"
#include "base/strings.h"
#include "serve/api/errors.h"
#include "serve/api/request_trace.h"

namespace sis::server {
namespace {

// A path as it may stand in a header: request paths are decoded and may hold anything.
std::string percent_encode(std::string_view path) {
  constexpr std::string_view kPlain = "-._~/!$&'()*+,;=:@";  // besides letters and digits
  constexpr const char* kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x80 && std::isalnum(byte)) || kPlain.find(c) != kPlain.npos)
      out += c;
    else
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
  }
  return out;
}

}  // namespace

void Router::add(const std::string& method, const std::string& path, net::Handler handler) {
  Route* route = nullptr;
  if (path.ends_with("/*")) {
    const std::string prefix = path.substr(0, path.size() - 1);
    for (auto& [known, candidate] : tails_)
      if (known == prefix) route = &candidate;
    if (!route) route = &tails_.emplace_back(prefix, Route{}).second;
  } else {
    route = &exact_[path];
  }
  route->pattern = path;
  SIS_CHECK(route->methods.emplace(method, std::move(handler)).second, method, " ", path,
            " added twice");
}

const Router::Route* Router::find(std::string_view path) const {
  if (const auto it = exact_.find(path); it != exact_.end()) return &it->second;
  for (const auto& [prefix, route] : tails_)
    if (path.size() > prefix.size() && path.starts_with(prefix) && !path.ends_with('/'))
      return &route;
  return nullptr;
}

void Router::handle(std::shared_ptr<net::Exchange> exchange) const {
  const net::HttpRequest& request = exchange->request();
  const Route* route = find(request.path);
  if (!route) {
    std::string_view shorter = request.path;
    while (shorter.size() > 1 && shorter.ends_with('/')) shorter.remove_suffix(1);
    if (shorter.size() != request.path.size() && find(shorter)) {
      auto response = api::status_response(307, concat("moved to ", shorter));
      response.headers.emplace_back(
          "Location",
          concat(percent_encode(shorter), request.query.empty() ? "" : "?", request.query));
      return exchange->respond(std::move(response));
    }
    return exchange->respond(
        api::status_response(404, concat("no route ", in_quotes(request.path))));
  }
  api::RequestTrace::of(exchange)->set_route(route->pattern);
  const auto method = route->methods.find(request.method);
  if (method == route->methods.end()) {
    std::string allowed;
    for (const auto& [name, handler] : route->methods)
      allowed += (allowed.empty() ? "" : ", ") + name;
    auto response = api::status_response(
        405, concat(request.method, " is not allowed on ", request.path, " (", allowed, ")"));
    response.headers.emplace_back("Allow", allowed);
    return exchange->respond(std::move(response));
  }
  method->second(std::move(exchange));
}

}  // namespace sis::server
