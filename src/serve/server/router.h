// Paths to handlers: exact paths and one-segment-or-more tails, per method.
//
// A known path with a slash too many redirects (307), a known path with another method is 405 with
// Allow, anything else 404. Built before serving, then read by all I/O threads.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "net/http_server.h"

namespace sis::server {

class Router {
 public:
  // "/v1/models" matches exactly; "/v1/models/*" matches everything behind the slash, which may
  // hold slashes.
  void add(const std::string& method, const std::string& path, net::Handler handler);
  void handle(std::shared_ptr<net::Exchange> exchange) const;

 private:
  struct Route {
    std::string pattern;
    std::map<std::string, net::Handler, std::less<>> methods;
  };
  const Route* find(std::string_view path) const;

  std::map<std::string, Route, std::less<>> exact_;
  std::vector<std::pair<std::string, Route>> tails_;  // prefix with its slash
};

}  // namespace sis::server
