// One HTTP/1.1 exchange at a time, blocking, with one deadline for all of it, from the look-up of
// the name to the last byte. Of several addresses each has its share of the time for connecting.
//
// For the few requests a tool makes around its real work: which models are there, what do the
// counters say. No redirects, no retries, no proxies: only the host in the URL is contacted. Any
// thread.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client_stream.h"
#include "net/http_client_url.h"

namespace sis::net {

struct FetchRequest {
  std::string method = "GET";
  std::string target;  // "/v1/models"; empty: the URL's own
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  Duration timeout = from_seconds(30);
  bool verify_tls = true;
  size_t body_bytes_max = 16 << 20;
};

struct FetchResponse {
  int status = 0;
  std::string body;
};

Result<FetchResponse> fetch(const Url& url, const FetchRequest& request);

// The first of the host's addresses that accepts a connection (with TLS: finishes the handshake).
Result<Endpoint> find_endpoint(const Url& url, ClientTls* tls, Duration timeout);
// The same of given addresses, at least one.
Result<Endpoint> find_endpoint(const Url& url, std::span<const Endpoint> endpoints, ClientTls* tls,
                               Duration timeout);

// The bytes of a request: Host, Content-Length (when a body is there or the method usually has one)
// and the given headers. Header names and values, method and target must be free of control bytes.
Result<std::string> request_bytes(const Url& url, const FetchRequest& request);

}  // namespace sis::net
