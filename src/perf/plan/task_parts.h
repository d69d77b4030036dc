// What the kinds of tasks have in common: where texts come from and where requests go.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/load/texts.h"
#include "perf/plan/reader.h"

namespace sis::perf {

// Given texts, the lines of a file or made-up ones; one source only. At least one text unless they
// are made up.
struct TaskTexts {
  std::vector<std::string> texts;
  std::optional<LengthSpec> lengths;
  bool distinct = false;
};
// The keys `noun`, its plural (queries of query), file, lengths and distinct; without any the one
// text `fallback`.
TaskTexts read_texts(PlanReader& reader, const std::string& noun, const std::string& fallback);

// A file a plan names, relative to the plan's folder.
std::string file_beside(std::string_view origin, const std::string& file);

Error need_model(const std::string& task);

// Of OpenAI's API paths: "/v1", or "" when the URL ends in it. Clients are given either.
std::string api_prefix(const net::Url& url);
// For routes that are not below /v1.
net::Url without_v1(net::Url url);

}  // namespace sis::perf
