#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "base/utc.h"
#include "perf/bench/commands.h"
#include "perf/load/plain_http.h"
#include "perf/report/shown_url.h"

namespace sis::perf {
namespace {

constexpr uintmax_t kBodyFileBytesMax = 64 << 20;

}  // namespace

int bench_http(const BenchContext& context, const std::vector<std::string>& arguments) {
  LoadFlags load;
  std::string url_text, method, body, body_file;
  int64_t expected_status = 0;
  bool templates = true;
  AnswerChecks checks;
  std::vector<std::pair<std::string, std::string>> headers;

  FlagSet flags("sis bench http URL [flags]",
                "Sends a request over and over, with {{places}} in it filled each time, and tells "
                "latency,\nthroughput and errors.");
  flags.section("Request");
  flags.text({{"base-url", "url"}, {"BASE_URL"}}, &url_text, "URL",
             "the same as naming the URL first");
  flags.text({{"method"}, {}}, &method, "WORD", "default: GET, or POST with a body");
  flags.custom(
      {{"header"}, {}}, "'NAME: VALUE'", "", "may be given many times",
      [&](std::string_view text) -> Status {
        const size_t colon = text.find(':');
        if (colon == std::string_view::npos || colon == 0)
          return Error{Code::kInvalidArgument, concat("want 'Name: value', got ", in_quotes(text))};
        headers.emplace_back(text.substr(0, colon), trim(text.substr(colon + 1)));
        return {};
      });
  flags.text({{"body"}, {}}, &body, "TEXT", "request body");
  flags.text({{"body-file"}, {}}, &body_file, "FILE", "request body from a file");
  flags.integer({{"expect-status"}, {}}, &expected_status, 0, 599,
                "the status that counts as success; 0: any 2xx or 3xx");
  flags.custom({{"expect-body"}, {}}, "TEXT", "", "a text the body must hold; many times",
               [&](std::string_view text) { return checks.add_text(text); });
  flags.custom({{"expect-json"}, {}}, "PATH=VALUE", "",
               "a value the JSON body must hold, as choices[0].index=0; without =VALUE: anything",
               [&](std::string_view text) { return checks.add_json(text); });
  flags.toggle({{"template"}, {}}, &templates,
               "fill {{index}}, {{uuid}}, {{random LOW HIGH}}, {{words N}}, {{line FILE}}, "
               "{{json_line FILE}}, {{env NAME}} in URL, headers and body");
  load.add_to(flags);

  auto others = flags.parse(arguments, context.environment);
  if (!others.ok()) return complain(context, others.error(), kExitUsage);
  if (flags.help_wanted()) {
    fmt::print(context.out, "{}", flags.help());
    return kExitOk;
  }
  if (others->size() > 1)
    return complain(
        context,
        Error{Code::kInvalidArgument, concat("want one URL, got also ", in_quotes((*others)[1]))},
        kExitUsage);
  if (!others->empty()) url_text = others->front();
  if (url_text.empty())
    return complain(context,
                    Error{Code::kInvalidArgument,
                          "want a URL, as in: sis bench http http://localhost:8000/health"},
                    kExitUsage);
  // Places in a path may hold blanks; they are parsed apart from the URL.
  std::string target;
  templates = templates && (RequestTemplate::is_template(url_text) ||
                            RequestTemplate::is_template(body) || !body_file.empty() ||
                            std::any_of(headers.begin(), headers.end(), [](const auto& header) {
                              return RequestTemplate::is_template(header.second);
                            }));
  if (templates && RequestTemplate::is_template(url_text)) {
    const size_t scheme = url_text.find("://");
    const size_t path = url_text.find_first_of("/?", scheme == std::string::npos ? 0 : scheme + 3);
    if (path != std::string::npos) {
      target = (url_text[path] == '?' ? "/" : "") + url_text.substr(path);
      url_text.resize(path);
    }
  }
  const auto url = net::parse_url(url_text);
  if (!url.ok()) return complain(context, url.error(), kExitUsage);
  const auto options = load.resolve(flags, *url);
  if (!options.ok()) return complain(context, options.error(), kExitUsage);
  if (!body.empty() && !body_file.empty())
    return complain(context,
                    Error{Code::kInvalidArgument, "--body, --body-file: want only one of them"},
                    kExitUsage);
  if (!body_file.empty()) {
    auto text = read_file(body_file, kBodyFileBytesMax);
    if (!text.ok()) return complain(context, text.error(), kExitUsage);
    body = std::move(*text);
  }
  if (method.empty()) method = body.empty() ? "GET" : "POST";

  PlainHttpOptions plain{.url = *url,
                         .expected_status = static_cast<int>(expected_status),
                         .keep_alive = options->keep_alive};
  plain.request = {.method = method, .target = target, .headers = headers, .body = body};
  plain.templates = templates;
  plain.context = {.seed = options->seed, .environment = context.environment};
  plain.checks = checks;
  const auto workload = PlainHttpWorkload::create(plain);
  if (!workload.ok()) return complain(context, workload.error(), kExitUsage);

  const std::string started = utc_now();
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  RunLabel label{.what = "http", .load = method};
  if (!target.empty()) label.load += concat(" ", shown_url(target));
  if (!body.empty())
    label.load += templates ? concat(" with a body of about ", body.size(), " bytes")
                            : concat(" with a body of ", body.size(), " bytes");
  const int exit_code = run_and_report(context, load, *options, label, **workload, runs);
  return std::max(exit_code, write_json(context, load, started, runs));
}

}  // namespace sis::perf
