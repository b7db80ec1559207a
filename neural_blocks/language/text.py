"""Text: byte-pair tokens, token losses, perplexity, BLEU and co-occurrence counts. A negative token is padding."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInput, unknown_name

SMOOTHINGS = ("none", "epsilon", "add_one")
PLACES = 15  # tokens of a sentence whose places are bits of a 16-bit number


class BytePairTokens:
    """Byte-pair encoding (Sennrich et al., 2016) over UTF-8 bytes: any text becomes tokens and back without loss.

    Args:
        json: what `to_json` gave.
    """

    def __init__(self, json: str) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(json)
        self.vocabulary = int(self._tokenizer.get_vocab_size())

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int) -> BytePairTokens:
        """Merges the most frequent pair of neighbouring tokens until there are `vocabulary` tokens or nothing to merge.

        Args:
            texts: the texts to learn from; merges never cross a word.
            vocabulary: tokens wanted, at least 256, one for each byte.

        Raises:
            InvalidInput: a vocabulary below 256.
        """
        if vocabulary < 256:
            raise InvalidInput(f"BytePairTokens: vocabulary must be at least 256, the bytes; got {vocabulary}")
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer.to_str())

    def to_json(self) -> str:
        """The tokens and merges as JSON, from which the same tokens are made again."""
        return self._tokenizer.to_str()

    def encode(self, text: str) -> Tensor:
        """The text's tokens, (L,) int64."""
        return torch.tensor(self._tokenizer.encode(text).ids, dtype=torch.int64)

    def decode(self, tokens: Tensor) -> str:
        """The text of tokens (L,) int64; padding is left out."""
        return self._tokenizer.decode(tokens[tokens >= 0].tolist(), skip_special_tokens=False)


def token_loss(logits: Tensor, tokens: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the tokens that are not padding, in nats, with label smoothing (Szegedy et al., 2016).

    Args:
        logits: (..., V) float.
        tokens: (...) int64, the targets; negative ones are padding and count for nothing.
        smoothing: probability spread evenly over all V tokens.

    Returns:
        A scalar.

    Raises:
        InvalidInput: shapes that do not fit each other.
    """
    if logits.shape[:-1] != tokens.shape:
        raise InvalidInput(f"logits {tuple(logits.shape)} must have the shape of tokens {tuple(tokens.shape)} and V")
    targets = tokens.masked_fill(tokens < 0, -1).flatten()
    return functional.cross_entropy(logits.flatten(0, -2), targets, ignore_index=-1, label_smoothing=smoothing)


def perplexity(logits: Tensor, tokens: Tensor) -> Tensor:
    """exp of the mean cross-entropy: the evenly likely tokens that would be as hard to guess (Jelinek et al., 1977).

    Arguments, shapes and errors are those of `token_loss`; the result is a scalar, V for even logits.
    """
    return token_loss(logits, tokens).exp()


def sentence_bleu(hypotheses: Tensor, references: Tensor, max_n: int = 4, smoothing: str = "none") -> Tensor:
    """BLEU of each sentence (Papineni et al., 2002): geometric mean of n-gram precisions times the brevity penalty.

    A sentence shorter than n counts as one with one n-gram, unmatched, as NLTK has it: it is not perfect.

    Args:
        hypotheses: (B, T) int64, padded behind with negative tokens.
        references: (B, R, S) int64, padded likewise; a reference that is all padding does not count.
        max_n: the longest n-grams compared, with even weights.
        smoothing: "none", a sentence without a matching n-gram scores 0; "epsilon", 0.1 stands for zero matches;
            "add_one", one match and one n-gram more for n > 1 (Lin and Och, 2004).

    Returns:
        (B,) float32 in [0, 1].

    Raises:
        InvalidInput: shapes that do not fit each other, max_n below 1, or an unknown smoothing.
    """
    matches, totals, length, nearest = _bleu_counts(hypotheses, references, max_n, smoothing)
    return _bleu(matches, totals.clamp(min=1), length, nearest, smoothing)


def corpus_bleu(hypotheses: Tensor, references: Tensor, max_n: int = 4, smoothing: str = "none") -> Tensor:
    """BLEU of a corpus (Papineni et al., 2002): matches, n-grams and lengths are summed over its sentences first.

    A sentence shorter than n adds no n-gram, as in sacreBLEU (Post, 2018); a corpus without any n-gram of some n scores
    0 unless smoothing gives it one. Arguments and errors are those of `sentence_bleu`; the result is a scalar.
    """
    matches, totals, length, nearest = (
        count.sum(0, keepdim=True) for count in _bleu_counts(hypotheses, references, max_n, smoothing)
    )
    return _bleu(matches, totals, length, nearest, smoothing).squeeze(0)


def _bleu_counts(
    hypotheses: Tensor, references: Tensor, max_n: int, smoothing: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Clipped matches and n-grams, (B, max_n) each, and the lengths of hypothesis and nearest reference, (B,) each."""
    if smoothing not in SMOOTHINGS:
        raise unknown_name("BLEU: smoothing", smoothing, SMOOTHINGS)
    if max_n < 1:
        raise InvalidInput(f"BLEU: max_n must be at least 1; got {max_n}")
    if hypotheses.dim() != 2 or references.dim() != 3 or hypotheses.shape[0] != references.shape[0]:
        shapes = f"{tuple(hypotheses.shape)} and {tuple(references.shape)}"
        raise InvalidInput(f"BLEU: hypotheses and references must have shapes (B, T) and (B, R, S); got {shapes}")
    length, reference_length = (hypotheses >= 0).sum(1), (references >= 0).sum(2)  # (B,), (B, R)
    short = max(hypotheses.shape[1], references.shape[2]) <= PLACES
    matches = (_matches_in_bits if short else _matches_in_pairs)(hypotheses, references, max_n)
    shorter = torch.arange(max_n, device=length.device)
    totals = (length[:, None] - shorter).clamp(min=0).float()
    difference = (reference_length - length[:, None]).abs()
    far = references.shape[2] + hypotheses.shape[1] + 1
    rank = torch.where(reference_length > 0, difference * far + reference_length, far * far)  # a tie: the shorter
    nearest = reference_length.gather(1, rank.argmin(1, keepdim=True)).squeeze(1)
    return matches, totals, length.float(), nearest.float()


def _matches_in_pairs(hypotheses: Tensor, references: Tensor, max_n: int) -> Tensor:
    """(B, max_n) float32 clipped matches: every place is compared with every other."""
    present, reference_present = hypotheses >= 0, references >= 0
    same_token = (hypotheses[:, :, None] == hypotheses[:, None, :]) & present[:, None, :]  # (B, T, T)
    in_reference = hypotheses[:, None, :, None] == references[:, :, None, :]  # (B, R, T, S)
    in_reference = in_reference & reference_present[:, :, None, :]
    same, found, matches = same_token, in_reference, []
    for n in range(1, max_n + 1):
        if n > 1:  # n-grams are equal where the (n - 1)-grams are and the token that follows them is
            same = same[:, :-1, :-1] & same_token[:, n - 1 :, n - 1 :]
            found = found[:, :, :-1, :-1] & in_reference[:, :, n - 1 :, n - 1 :]
        occurrences = same.sum(2)  # (B, T - n + 1): of each n-gram in its own sentence, 0 where it is padded
        allowed = torch.minimum(occurrences, found.sum(3).amax(1))
        matches.append((allowed.float() / occurrences.clamp(min=1)).sum(1).round())
    return torch.stack(matches, 1)


def _matches_in_bits(hypotheses: Tensor, references: Tensor, max_n: int) -> Tensor:
    """(B, max_n) float32 clipped matches of sentences of at most 15 places, which are the bits of one number.

    An n-gram counts where it stands in fewer earlier places of its own sentence than in some reference.
    """
    batch, tokens = hypotheses.shape
    places = max(tokens, references.shape[2])
    wide = torch.promote_types(hypotheses.dtype, references.dtype)
    sentences = references.new_full((batch, 1 + references.shape[1], places), -1, dtype=wide)
    sentences[:, 0, :tokens] = hypotheses
    sentences[:, 1:, : references.shape[2]] = references
    sentences = sentences.clamp(min=-1)
    wanted = torch.where(hypotheses < 0, -2, hypotheses)[:, None]  # (B, 1, T): padding is nowhere
    token = torch.zeros(batch, sentences.shape[1], tokens, dtype=torch.int16, device=wanted.device)
    for place in range(places):  # bit s of (B, 1 + R, T): sentence r has token t at its place s
        token = token | ((sentences[:, :, place, None] == wanted).to(torch.int16) << place)
    before = (1 << torch.arange(tokens, device=wanted.device)) - 1
    before = torch.stack([before, *[torch.full_like(before, (1 << PLACES) - 1)] * references.shape[1]])
    grams, widths = [token], [max(tokens - n, 0) for n in range(max_n)]
    for n in range(1, max_n):  # an n-gram begins where the (n - 1)-gram does if the token that follows it is there
        grams.append(grams[-1][..., : widths[n]] & (token[..., n:] >> n))
    here = torch.cat([gram & before[:, : gram.shape[-1]].to(torch.int16) for gram in grams], 2)
    here = here - ((here >> 1) & 0x5555)  # bits are added in pairs, then in fours, then in eights
    here = (here & 0x3333) + ((here >> 2) & 0x3333)
    here = (here + (here >> 4)) & 0x0F0F
    count = (here + (here >> 8)) & 0x1F
    counts = count[:, 0] < count[:, 1:].amax(1)
    return torch.stack([part.sum(1) for part in counts.split(widths, 1)], 1).float()


def _bleu(matches: Tensor, totals: Tensor, length: Tensor, nearest: Tensor, smoothing: str) -> Tensor:
    """BLEU of each row of counts, (B,)."""
    some = (matches[:, 0] > 0) & (length > 0)
    if smoothing == "epsilon":
        matches = torch.where((matches == 0) & (totals > 0), 0.1, matches)
    elif smoothing == "add_one":
        more = (torch.arange(matches.shape[1], device=matches.device) > 0).float()  # all but single tokens
        matches, totals = matches + more, totals + more
    ratio = torch.where(totals > 0, matches / totals.clamp(min=1), 0)
    precision = ratio.log().mean(1).exp()  # (B,); log 0 = -inf makes it 0
    brevity = (1 - nearest / length.clamp(min=1)).clamp(max=0).exp()
    return torch.where(some, precision * brevity, 0)


def cooccurrence(tokens: Tensor, vocabulary: int, window: int, *, decay: bool = False) -> Tensor:
    """How often each token stands within `window` places of each other one, in either order.

    Args:
        tokens: (L,) or (B, L) int64 below `vocabulary`; negative ones are padding. Rows do not touch each other.
        vocabulary: V, the number of tokens.
        window: the greatest distance counted.
        decay: count a pair at distance d as 1 / d (Pennington et al., 2014) instead of 1.

    Returns:
        (V, V) float32, symmetric.

    Raises:
        InvalidInput: tokens of another shape, or a vocabulary or window below 1.
    """
    if tokens.dim() not in (1, 2) or min(vocabulary, window) < 1:
        sizes = f"{tuple(tokens.shape)}, {vocabulary} and {window}"
        raise InvalidInput(f"cooccurrence: needs tokens (B, L), vocabulary and window from 1 on; got {sizes}")
    tokens = tokens.reshape(-1, tokens.shape[-1])
    counts = torch.zeros(vocabulary * vocabulary, device=tokens.device)
    for distance in range(1, min(window, tokens.shape[1] - 1) + 1):
        left, right = tokens[:, :-distance], tokens[:, distance:]
        weight = ((left >= 0) & (right >= 0)).float() / (distance if decay else 1)
        pair = left.clamp(min=0) * vocabulary + right.clamp(min=0)
        counts = counts.index_add(0, pair.flatten(), weight.flatten())
    counts = counts.view(vocabulary, vocabulary)
    return counts + counts.T
