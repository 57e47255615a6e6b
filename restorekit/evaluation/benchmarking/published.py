"""Numbers from papers, to be shown beside measured ones of the same protocol."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["published_rows"]

_OTHER_SSIM = "its SSIM is of another variant"


class _Paper(NamedTuple):
    """A method and what its paper, or the one that set the protocol, reports: PSNR in dB, and SSIM."""

    method: str
    source: str
    numbers: dict[str, tuple[float, ...]]


#: Super-resolution x4: luma, a border of 4 px left out, low resolution by MATLAB's bicubic.
_SR4 = (
    _Paper(
        "bicubic",
        "as the papers below report it",
        {
            "set5": (28.42, 0.8104),
            "set14": (26.00, 0.7027),
            "bsd100": (25.96, 0.6675),
            "urban100": (23.14, 0.6577),
        },
    ),
    _Paper(
        "SRCNN",
        "Dong et al. 2016, IEEE TPAMI 38(2)",
        {
            "set5": (30.48, 0.8628),
            "set14": (27.50, 0.7513),
            "bsd100": (26.90, 0.7101),
            "urban100": (24.52, 0.7221),
        },
    ),
    _Paper(
        "VDSR",
        "Kim et al., CVPR 2016",
        {
            "set5": (31.35, 0.8838),
            "set14": (28.02, 0.7678),
            "bsd100": (27.29, 0.7252),
            "urban100": (25.18, 0.7525),
        },
    ),
    _Paper(
        "SRResNet",
        f"Ledig et al., CVPR 2017; {_OTHER_SSIM}",
        {"set5": (32.05, 0.9019), "set14": (28.49, 0.8184), "bsd100": (27.58, 0.7620)},
    ),
    _Paper(
        "EDSR-baseline",
        "Lim et al., CVPRW 2017",
        {
            "set5": (32.09, 0.8938),
            "set14": (28.58, 0.7813),
            "bsd100": (27.57, 0.7357),
            "urban100": (26.04, 0.7849),
        },
    ),
    _Paper(
        "IMDN",
        "Hui et al., ACM Multimedia 2019",
        {
            "set5": (32.21, 0.8948),
            "set14": (28.58, 0.7811),
            "bsd100": (27.56, 0.7353),
            "urban100": (26.04, 0.7838),
        },
    ),
    _Paper(
        "SwinIR-light",
        "Liang et al., ICCVW 2021",
        {
            "set5": (32.44, 0.8976),
            "set14": (28.77, 0.7858),
            "bsd100": (27.69, 0.7406),
            "urban100": (26.47, 0.7980),
        },
    ),
    _Paper(
        "EDSR",
        "Lim et al., CVPRW 2017",
        {
            "set5": (32.46, 0.8968),
            "set14": (28.80, 0.7876),
            "bsd100": (27.71, 0.7420),
            "urban100": (26.64, 0.8033),
        },
    ),
    _Paper(
        "RRDB",
        "Wang et al., ECCVW 2018 (ESRGAN), trained on DF2K",
        {
            "set5": (32.73, 0.9011),
            "set14": (28.99, 0.7917),
            "bsd100": (27.85, 0.7455),
            "urban100": (27.03, 0.8153),
        },
    ),
    _Paper(
        "SRGAN",
        f"Ledig et al., CVPR 2017; {_OTHER_SSIM}",
        {"set5": (29.40, 0.8472), "set14": (26.02, 0.7397), "bsd100": (25.16, 0.6688)},
    ),
)


def _denoising(sigma: int, dncnn: float, ffdnet: float, drunet: float, restormer: float) -> tuple[_Paper, ...]:
    papers = (
        ("DnCNN", "Zhang et al. 2017, IEEE TIP 26(7)", dncnn),
        ("FFDNet", "Zhang et al. 2018, IEEE TIP 27(9)", ffdnet),
        ("DRUNet", "Zhang et al. 2022, IEEE TPAMI 44(10)", drunet),
        ("Restormer", "Zamir et al., CVPR 2022", restormer),
    )
    return tuple(_Paper(method, f"{source}; sigma {sigma}", {"cbsd68": (psnr,)}) for method, source, psnr in papers)


_PAPERS = {
    "sr:4": _SR4,
    "denoise:25": _denoising(25, 31.24, 31.21, 31.69, 31.79),
    "denoise:50": _denoising(50, 27.95, 27.96, 28.51, 28.60),
}


def published_rows(protocol: str, data: str) -> list[dict[str, Any]]:
    """Return rows from papers.

    Parameters
    ----------
    protocol : str
        The name of a published protocol, such as ``"sr:4"``.
    data : str
        The name of the pictures, such as ``"Set5"``.

    Returns
    -------
    list of dict
        ``{"generator", "psnr", "ssim", "published": True, "source"}``; empty where there are none.
    """
    rows = []
    for paper in _PAPERS.get(protocol, ()):
        numbers = paper.numbers.get(data.casefold())
        if numbers is not None:
            named = dict(zip(("psnr", "ssim"), numbers, strict=False))
            rows.append({"generator": paper.method, **named, "published": True, "source": paper.source})
    return rows
