"""Names, telephone numbers and streets that people in the demo's world may have; nobody real is meant."""

from __future__ import annotations

from random import Random

__all__ = ["given_name", "phone", "street", "surname"]

# The most frequent surnames, the more frequent ones several times.
_SURNAMES = (
    "王王王王李李李李张张张张刘刘刘陈陈陈杨杨黄黄赵赵吴吴周周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚"
    "沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"
)
_COMPOUND = ("欧阳", "上官", "司马", "诸葛")
_MALE = "伟强磊军洋勇杰涛超明刚平辉鹏华飞鑫波斌宇浩凯健俊帆旭宁龙林建国志文海山德福贵庆春树振东永成"
_FEMALE = "芳娜敏静丽艳娟霞秀英玲桂兰凤洁梅琳素云莲真环雪荣爱妹香月莺媛瑞凡佳嘉琼勤珍贞莉红倩婷慧雅淑珠翠"
_STREETS = (
    "人民路",
    "解放路",
    "建设路",
    "和平街",
    "新华街",
    "中山路",
    "胜利路",
    "文化巷",
    "东风路",
    "青年路",
    "朝阳街",
    "团结巷",
)


def surname(random: Random) -> str:
    """A surname; one in 200 is a compound one."""
    return random.choice(_COMPOUND) if random.random() < 0.005 else random.choice(_SURNAMES)


def given_name(random: Random, sex: str) -> str:
    """A given name of one or two characters; ``sex`` is MALE or FEMALE."""
    pool = _MALE if sex == "MALE" else _FEMALE
    return random.choice(pool) + (random.choice(pool) if random.random() < 0.7 else "")


def phone(random: Random) -> str:
    """A mobile number in a range that is not given out (a leading 10)."""
    return f"10{random.randrange(10**9):09d}"


def street(random: Random) -> str:
    """Street, house, unit and door."""
    return f"{random.choice(_STREETS)}{random.randint(1, 180)}号{random.randint(1, 6)}单元{random.randint(1, 24):02d}室"
