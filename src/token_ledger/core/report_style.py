"""The style sheet of the report: light and dark, on paper, and without anything from elsewhere."""

STYLE = """
:root{color-scheme:light dark;--paper:#fbfbf9;--card:#fff;--ink:#1c2430;--soft:#5b6675;
--edge:#dfe3e8;--good:#0b7a55;--good-soft:#e3f3ec;--bad:#b3261e;--bad-soft:#fbe9e7;
--wait:#8a5a00;--wait-soft:#fdf2dc;--bar:#2a78b8;--bar-soft:#cfe2f2}
@media (prefers-color-scheme:dark){:root{--paper:#12161c;--card:#1a2028;--ink:#e8ecf1;
--soft:#9aa6b4;--edge:#2e3742;--good:#4cc79a;--good-soft:#143328;--bad:#ff8a80;
--bad-soft:#3d1d1b;--wait:#f0bf5e;--wait-soft:#382c12;--bar:#62aee8;--bar-soft:#24425c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:40px}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:40px 0 12px}
h3{font-size:1rem;margin:0}
p{margin:0 0 8px;max-width:78ch}
code,.mono{font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
overflow-wrap:anywhere}
.soft{color:var(--soft)}
.about{margin:16px 0 0;display:grid;grid-template-columns:max-content 1fr;gap:2px 20px}
.about dt{color:var(--soft)}.about dd{margin:0;overflow-wrap:anywhere}
.verdict{margin:28px 0 0;max-width:none;padding:16px 20px;border-radius:10px;border-left:6px solid;
font-size:1.1rem}
.verdict strong{display:block}
.verdict.good{background:var(--good-soft);border-color:var(--good)}
.verdict.bad{background:var(--bad-soft);border-color:var(--bad)}
.verdict.wait{background:var(--wait-soft);border-color:var(--wait)}
.verdict.good strong{color:var(--good)}.verdict.bad strong{color:var(--bad)}
.verdict.wait strong{color:var(--wait)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));gap:12px;
margin:20px 0 0}
.figures div{background:var(--card);border:1px solid var(--edge);border-radius:10px;
padding:14px 16px}
.figures dt{color:var(--soft);font-size:.85rem}
.figures dd{margin:0;font-size:1.5rem;font-weight:650;font-variant-numeric:tabular-nums;
letter-spacing:-.01em}
.figures dd small{display:block;font-size:.8rem;font-weight:400;color:var(--soft);
letter-spacing:0}
figure{margin:0 0 20px;background:var(--card);border:1px solid var(--edge);border-radius:10px;
padding:16px 16px 8px}
figcaption{display:flex;flex-wrap:wrap;gap:4px 20px;font-weight:600;margin-bottom:8px}
.key{font-weight:400;color:var(--soft);font-size:.88rem}
.key::before{content:"";display:inline-block;width:10px;height:10px;border-radius:2px;
margin-right:6px;background:var(--bar)}
.key.not::before{background:var(--bad)}
svg{display:block;width:100%;height:auto}
svg text{font-size:12px;fill:var(--soft)}svg .value{text-anchor:end}
svg .line{stroke:var(--edge);stroke-width:1;fill:none}
svg .matched{fill:var(--bar)}svg .unmatched{fill:var(--bad)}
svg .area{stroke-width:1.5}svg .area.matched{fill:var(--bar-soft);stroke:var(--bar)}
svg .area.unmatched{fill:var(--bad-soft);stroke:var(--bad)}
details{margin:0 0 8px}summary{cursor:pointer;color:var(--soft);font-size:.9rem}
.kind{background:var(--card);border:1px solid var(--edge);border-radius:10px;margin:0 0 20px;
overflow:hidden}
.kind>header{padding:14px 18px;max-width:none;border-bottom:1px solid var(--edge)}
.kind h3 code{font-size:1em;font-weight:650}
.kind h3 span{font-weight:400;color:var(--soft);margin-left:8px}
.kind p{margin:4px 0 0}
.scroll{overflow-x:auto}
.kind table{table-layout:fixed;min-width:760px}.kind th:first-child{width:42%}
.kind th:last-child{width:24%}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:9px 18px;border-bottom:1px solid var(--edge)}
tbody tr:last-child>*{border-bottom:0}
thead th{color:var(--soft);font-weight:600;font-size:.82rem}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
td p{margin:0 0 6px}
td dl{margin:0;display:grid;grid-template-columns:max-content 1fr;gap:0 10px}
td dt{color:var(--soft)}td dd{margin:0;overflow-wrap:anywhere}
.none{color:var(--soft);font-style:italic}
footer{padding:32px 24px 48px;color:var(--soft);font-size:.88rem}
@media print{:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--soft:#444;
--edge:#bbb;--good:#0b7a55;--good-soft:#fff;--bad:#b3261e;--bad-soft:#fff;--wait:#8a5a00;
--wait-soft:#fff;--bar:#2a78b8;--bar-soft:#cfe2f2}
body{font-size:10.5pt}main,header,footer{max-width:none;padding-left:0;padding-right:0}
figure,tr,.figures div,.verdict,.kind>header{break-inside:avoid}
svg *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.scroll{overflow:visible}td,th{padding:6px 8px}.kind table{min-width:0}}
@page{margin:16mm}
"""
