#include "perf/report/html_page.h"

#include "base/strings.h"
#include "perf/report/html_text.h"

namespace sis::perf {
namespace {

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--page:#f6f6f4;--card:#fff;--ink:#16181d;--soft:#5c5f66;--line:#e2e2de;--grid:#ececea;
--c1:#2a78d6;--c2:#eb6834;--c3:#14966a;--c4:#c98500;--c5:#c94f86;--c6:#6a5acd;
--good:#0a7a28;--good-back:#e3f4e6;--warn:#8a5a00;--warn-back:#fdf1d3;--bad:#c22f2f;--bad-back:#fbe4e2}
@media(prefers-color-scheme:dark){:root{--page:#131416;--card:#1c1e21;--ink:#eceded;--soft:#a3a6ac;--line:#33363b;--grid:#2a2d31;
--c1:#5a9bec;--c2:#f0814f;--c3:#2fb98a;--c4:#dfa12a;--c5:#e2749f;--c6:#9f93f0;
--good:#6fd388;--good-back:#16301d;--warn:#f0c062;--warn-back:#3a2e12;--bad:#ff8a80;--bad-back:#401d1b}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header{max-width:1180px;margin:0 auto;padding:0 16px}
header{padding-top:28px}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:36px 0 12px;overflow-wrap:anywhere}
h3{font-size:1rem;margin:24px 0 8px}
.sub{color:var(--soft);margin:0;overflow-wrap:anywhere}
code{font:0.87em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.banner{border-radius:10px;padding:12px 16px;margin:16px 0;border-left:5px solid;background:var(--card);overflow-wrap:anywhere}
.banner.good{border-color:var(--good);background:var(--good-back)}
.banner.warn{border-color:var(--warn);background:var(--warn-back)}
.banner.bad{border-color:var(--bad);background:var(--bad-back)}
.banner ul{margin:6px 0 0;padding-left:20px}
.good b.mark,td.good{color:var(--good)}.warn b.mark{color:var(--warn)}.bad b.mark,td.bad{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:16px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 14px}
.tile span{display:block;color:var(--soft);font-size:.82rem}
.tile b{font-size:1.45rem;font-weight:650;line-height:1.3}
.tile small{color:var(--soft);font-size:.8rem}
.tile.bad b{color:var(--bad)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px;margin:16px 0}
figure.chart{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px;min-width:0;position:relative}
figcaption{font-weight:600}
figure svg{display:block;width:100%;height:auto;overflow:visible}
.note{color:var(--soft);font-size:.8rem;margin:4px 0 0}
.legend{margin:2px 0 6px;font-size:.84rem;color:var(--soft);display:flex;flex-wrap:wrap;gap:2px 16px}
.legend i,.shares i{display:inline-block;width:16px;height:0;border-top:3px solid currentColor;vertical-align:middle;margin-right:6px}
.legend i.dashed{border-top-style:dashed}
.shares{list-style:none;padding:0;margin:10px 0 0;display:flex;flex-wrap:wrap;gap:4px 22px}
.shares i{width:12px;height:12px;border:0;background:currentColor;border-radius:3px}
.shares small{color:var(--soft)}
.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}
.muted{color:var(--soft)}i.bad,path.bad,circle.bad,rect.bad{color:var(--bad)}
.line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.line.muted{stroke-width:1.2}
.line.dashed{stroke-dasharray:6 5}
.area{fill:currentColor;opacity:.14}
.dot{fill:currentColor;stroke:var(--card);stroke-width:1.5}
.bar{fill:currentColor}
.grid{stroke:var(--grid)}.base{stroke:var(--soft);stroke-width:1}
text{font:12px system-ui,sans-serif}
.tick{fill:var(--soft)}.axis{fill:var(--soft);font-size:12px}
.cross{stroke:var(--soft);stroke-dasharray:3 3}
.tip{position:absolute;pointer-events:none;background:var(--card);color:var(--ink);border:1px solid var(--line);border-radius:8px;
padding:6px 10px;font-size:.82rem;box-shadow:0 4px 14px #0003;white-space:nowrap;z-index:2}
.tip b{display:block;margin-bottom:2px}
.tip div{display:flex;justify-content:space-between;gap:16px}
.tip i{font-style:normal}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px;margin:8px 0}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:7px 12px;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;white-space:nowrap}
tr:last-child td{border-bottom:0}
th.l,td.l{text-align:left;overflow-wrap:anywhere}
td.l{min-width:9em}
td.n{white-space:nowrap}
.cols{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:0 16px;align-items:start}
.cols>*{min-width:0}
details{margin:10px 0}
details>summary{cursor:pointer;font-weight:600;padding:6px 0}
footer{max-width:1180px;margin:32px auto;padding:0 16px 24px;color:var(--soft);font-size:.82rem}
@media(max-width:600px){text,.axis{font-size:16px}}
@media print{body{background:#fff}.tip{display:none}figure.chart,.tile{break-inside:avoid}}
)css";

// Shows the values under the pointer (or finger, or arrow keys). Texts go in as textContent only.
constexpr std::string_view kScript = R"js(
"use strict";
for (const svg of document.querySelectorAll("svg[data-hover]")) {
  const data = JSON.parse(svg.dataset.hover), figure = svg.closest("figure");
  if (!data.x.length) continue;
  const make = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
  let tip = null, cross = null, dots = [], at = -1;
  const hide = () => {
    if (tip) tip.remove();
    if (cross) cross.remove();
    for (const dot of dots) dot.remove();
    tip = cross = null; dots = []; at = -1;
  };
  const show = (i) => {
    if (i === at) return;
    hide();
    at = i;
    cross = make("line");
    cross.setAttribute("class", "cross");
    for (const [k, v] of [["x1", data.x[i]], ["x2", data.x[i]], ["y1", 14], ["y2", 208]]) cross.setAttribute(k, v);
    svg.append(cross);
    tip = document.createElement("div");
    tip.className = "tip";
    const head = document.createElement("b");
    head.textContent = data.t[i];
    tip.append(head);
    for (const line of data.s) {
      const row = document.createElement("div"), name = document.createElement("i"), value = document.createElement("span");
      name.textContent = line.n; name.className = line.c; value.textContent = line.v[i];
      row.append(name, value);
      tip.append(row);
      if (line.y[i] === null) continue;
      const dot = make("circle");
      dot.setAttribute("class", "dot " + line.c);
      dot.setAttribute("cx", data.x[i]); dot.setAttribute("cy", line.y[i]); dot.setAttribute("r", 4);
      svg.append(dot); dots.push(dot);
    }
    figure.append(tip);
    const box = svg.getBoundingClientRect(), frame = figure.getBoundingClientRect();
    const x = box.left - frame.left + data.x[i] / svg.viewBox.baseVal.width * box.width;
    const left = x + 12 + tip.offsetWidth > frame.width ? x - 12 - tip.offsetWidth : x + 12;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = box.top - frame.top + 10 + "px";
  };
  const nearest = (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    let best = 0;
    data.x.forEach((value, i) => { if (Math.abs(value - x) < Math.abs(data.x[best] - x)) best = i; });
    show(best);
  };
  svg.tabIndex = 0;
  svg.addEventListener("pointermove", nearest);
  svg.addEventListener("pointerdown", nearest);
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (event.key === "Escape") hide();
    if (step) { event.preventDefault(); show(Math.min(data.x.length - 1, Math.max(0, at + step))); }
  });
}
)js";

constexpr std::string_view kScriptHash = "+Wnbumcbu3LwF1eGSVkWEKWhvwtOdZDGtKdlN884C7M=";

}  // namespace

std::string_view html_script() { return kScript; }
std::string_view html_script_hash() { return kScriptHash; }

std::string html_page(std::string_view title, std::string_view body) {
  return concat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; script-src 'sha256-",
      kScriptHash, "'\">\n<title>", html_escaped(title), "</title>\n<style>", kStyle,
      "</style>\n</head>\n<body>\n", body, "<script>", kScript, "</script>\n</body>\n</html>\n");
}

}  // namespace sis::perf
