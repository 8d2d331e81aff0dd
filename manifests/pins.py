"""SHA-256 of the file of every manifest that is built here: what makes two users' benchmarks the same.

The two made from ``vggsound.csv`` have none: that list could not be had when the others were computed. They are for
training, so no result depends on them.
"""

PINS: dict[str, str] = {
    "audiocaps/test": "66fa937dadd958d0b5e3f03529233a241023604eed9532b140dfee4cda26070b",
    "audiocaps/train": "506c42e413b605be76c45eb1997373da251d4a8fd141fa49b34bba5bef0671db",
    "audiocaps/val": "fa44e6be0314161b0fe30f13153bc03fa81120043e72f085d5b7d957abc5a568",
    "llp/events": "b8abd9e77e4d453f128bc49b36c7a06a1476aef596c7bbd8648fcd4c962f7d4d",
    "llp/test": "297b28b109c5c1798d70ec792bc476fca499ff1ad72c673f78b214e460577c8e",
    "llp/train": "7771a9c15ca9d78126b2c2e9a2bbc416e34c265bb46b2198692f811b39f17372",
    "llp/val": "bd5c84f209feef3035a5375582fb93b25508d90948e2b7c71b13765b5c63a522",
    "t2av-bench": "f887560b5619c3b9eeeb6f7bc3e6e47d1c0f4dd250b7be754780d1fc15394cd6",
    "t2av-bench-mini": "a59961e74e0e3cab47209c55d74be3112467ff14bdb2ab8db1c27408f70793f0",
    "t2av-bench/audiocaps": "66fa937dadd958d0b5e3f03529233a241023604eed9532b140dfee4cda26070b",
    "t2av-bench/llp": "297b28b109c5c1798d70ec792bc476fca499ff1ad72c673f78b214e460577c8e",
    "t2av-bench/train-audiocaps": "1e45aba25132a19db7bb80e604da9191ea975fb69d8025b6f220989d1783e4ec",
    "t2av-bench/train-llp": "6883b42db4f9ac6d70eb8bb4db585e1ad399d93c837f4a401aa4528faab5295c",
    "t2av-bench/vggsound": "319878f2e7a86f8e7400971864acaeab7539c6b39583908af24701f1ab53d1ca",
    "vggsound/test": "319878f2e7a86f8e7400971864acaeab7539c6b39583908af24701f1ab53d1ca",
}
