"""Everything of the renderer that is compiled: textures, sky, light, LiDAR reflectance.

It is one file because numba's cache of compiled code notices changes in the file of a function only, not in the files
of the functions it calls. Noise fades where the footprint of a pixel is larger than its grain, so that distant surfaces
do not flicker.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mono_distill.synthetic.materials import Pattern

# Contact shadows reach this far from the footprint of an actor, metres.
CONTACT_RANGE = 0.9

# numba sees plain integers.
_ASPHALT, _GRASS, _FACADE, _BRICKS = (int(p) for p in (Pattern.ASPHALT, Pattern.GRASS, Pattern.FACADE, Pattern.BRICKS))
_FOLIAGE, _PAVING, _ROAD, _STRIPES = (int(p) for p in (Pattern.FOLIAGE, Pattern.PAVING, Pattern.ROAD, Pattern.STRIPES))
_BARK = int(Pattern.BARK)


@njit(cache=True, inline='always')
def hash2(i: int, j: int, seed: int) -> float:
    """Return a number in [0, 1) that depends on nothing but the three integers."""
    h = np.uint32(i) * np.uint32(374761393) + np.uint32(j) * np.uint32(668265263) + np.uint32(seed) * np.uint32(974711)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h = h ^ (h >> np.uint32(16))
    return float(np.float32(h & np.uint32(0xFFFFFF)) * np.float32(1.0 / 16777216.0))


@njit(cache=True)
def value_noise(x: float, y: float, seed: int) -> float:
    """Return smooth noise in [-1, 1] with grain 1."""
    fx, fy = np.floor(x), np.floor(y)
    i, j = int(fx), int(fy)
    u, v = x - fx, y - fy
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    low = hash2(i, j, seed) * (1 - u) + hash2(i + 1, j, seed) * u
    high = hash2(i, j + 1, seed) * (1 - u) + hash2(i + 1, j + 1, seed) * u
    return 2 * (low * (1 - v) + high * v) - 1


@njit(cache=True)
def grain(x: float, y: float, size: float, footprint: float, seed: int) -> float:
    """Return noise of a grain size in metres, faded where a pixel covers more than a grain."""
    fade = footprint / size
    if fade > 3.0:
        return 0.0
    return value_noise(x / size, y / size, seed) / (1 + fade * fade)


@njit(cache=True, inline='always')
def band(distance: float, half_width: float, footprint: float) -> float:
    """Return how much of a pixel a stripe covers whose middle is ``distance`` away."""
    share = (half_width - abs(distance)) / max(footprint, 1e-4) + 0.5
    return min(max(share, 0.0), 1.0, 2 * half_width / max(footprint, 1e-4))


@njit(cache=True)
def road_marks(u: float, v: float, road: NDArray, foot_u: float, foot_v: float) -> float:
    """Return the share of paint at ``u`` along and ``v`` left of the centre line.

    ``road``: lane width, lanes to the right, lanes to the left, dash length, dash period, half width of a mark, whether
    the edges are marked, whether the centre line is solid, seed.
    """
    lane, right, left, dash, period, half = road[0], road[1], road[2], road[3], road[4], road[5]
    phase = abs((u % period) - period / 2)
    dashed = min(max((dash / 2 - phase) / max(foot_u, 1e-3) + 0.5, 0.0), 1.0)
    if foot_u > period:
        dashed = dash / period
    paint = 0.0
    if right > 0 and left > 0:
        paint = band(v, half, foot_v) * (1.0 if road[7] > 0 else dashed)
    nearest = round(v / lane)
    if nearest != 0 and -right < nearest < left:
        paint = max(paint, band(v - nearest * lane, half, foot_v) * dashed)
    if road[6] > 0:
        paint = max(paint, band(v - left * lane, half, foot_v), band(v + right * lane, half, foot_v))
    return paint


@njit(cache=True)
def albedo(row: NDArray, u: float, v: float, footprint: float, road: NDArray, foot_v: float, out: NDArray) -> None:
    """Write red, green, blue, gloss and emission of a surface point into ``out`` (5,)."""
    pattern = int(row[3])
    scale, contrast = row[4], row[5]
    seed = int(road[8])
    mix, tone, gloss = 0.0, 1.0, row[9]
    if pattern in (_ROAD, _ASPHALT):
        tone += contrast * (grain(u, v, 0.04, footprint, seed) + 0.8 * grain(u, v * 2, 1.5, footprint, seed + 1))
        tone += contrast * 1.2 * grain(u * 0.15, v, 0.7, footprint, seed + 2)
        # Repaired rectangles, and tar in the joints along the road.
        cell_u, cell_v = np.floor(u / 7.3), np.floor(v / 2.9)
        if hash2(int(cell_u), int(cell_v), seed + 3) > 0.88:
            inside = band(u / 7.3 - cell_u - 0.45, 0.3, footprint / 7.3) * band(
                v / 2.9 - cell_v - 0.5, 0.38, footprint / 2.9
            )
            tone -= 0.16 * inside
        tone -= 0.3 * band(v - 0.35 - 0.05 * value_noise(u * 0.3, 0.0, seed + 4), 0.012, foot_v)
        # Wheels polish two tracks in every lane, oil darkens the middle between them.
        if pattern == _ROAD:
            lane = abs(v / road[0] - np.floor(v / road[0]) - 0.5)
            tone += 0.05 * (np.exp(-(((lane - 0.25) * 9) ** 2)) - 0.8 * np.exp(-((lane * 12) ** 2)))
        if pattern == _ROAD:
            wear = 0.75 + 0.35 * grain(u, v, 0.35, footprint, seed + 5)
            mix = road_marks(u, v, road, footprint * 1.0, foot_v) * min(max(wear, 0.0), 1.0)
    elif pattern == _GRASS:
        tone += contrast * (grain(u, v, 0.12, footprint, seed) + grain(u, v, 0.9, footprint, seed + 1))
        mix = min(max(0.5 + 0.9 * grain(u, v, 7.0, footprint, seed + 2), 0.0), 1.0) * 0.6
    elif pattern == _FOLIAGE:
        tone += contrast * (1.2 * grain(u, v, 0.25, footprint, seed) + 0.9 * grain(u, v, 0.8, footprint, seed + 1))
        tone += 0.5 * contrast * grain(u, v, 0.09, footprint, seed + 2)
    elif pattern == _BARK:
        tone += contrast * grain(u, v * 0.15, 0.05, footprint, seed)
    elif pattern == _BRICKS:
        height = scale * 0.32
        course = np.floor(v / height)
        shift = 0.5 * scale * (int(course) % 2)
        column = np.floor((u + shift) / scale)
        fade = 1 / (1 + (footprint / height) ** 2)
        tone += contrast * 1.5 * (hash2(int(column), int(course), seed) - 0.5) * fade
        joint = max(
            band(v / height - np.floor(v / height) - 0.5, 0.42, footprint / height)
            * band((u + shift) / scale - column - 0.5, 0.47, footprint / scale),
            0.0,
        )
        mix = (1 - joint) * fade + 0.2 * (1 - fade)
        tone += 0.5 * contrast * grain(u, v, 3.0, footprint, seed + 1)
    elif pattern == _PAVING:
        along = abs(u / scale - np.floor(u / scale) - 0.5)
        across = abs(v / scale - np.floor(v / scale) - 0.5)
        fade = 1 / (1 + (2 * footprint / scale) ** 2)
        mix = (1.0 if max(along, across) > 0.48 else 0.0) * fade
        tone += contrast * 2 * (hash2(int(np.floor(u / scale)), int(np.floor(v / scale)), seed) - 0.5) * fade
        tone += contrast * grain(u, v, 0.06, footprint, seed + 1)
    elif pattern == _FACADE:
        mix, gloss, tone = _facade(u, v, scale, contrast, footprint, seed, gloss)
    elif pattern == _STRIPES:
        mix = 1.0 if (v / scale - np.floor(v / scale)) > 0.5 else 0.0
    else:
        tone += contrast * 0.6 * grain(u, v, 0.4, footprint, seed)
    tone = max(tone, 0.05)
    for channel in range(3):
        out[channel] = (row[channel] * (1 - mix) + row[6 + channel] * mix) * tone
    out[3] = gloss
    out[4] = row[10]


@njit(cache=True)
def _facade(
    u: float, v: float, scale: float, contrast: float, footprint: float, seed: int, gloss: float
) -> tuple[float, float, float]:
    """Return share of window, gloss and tone of a wall with a grid of windows."""
    column, storey = np.floor(u / scale), np.floor(v / (scale * 1.05))
    x, y = u / scale - column - 0.5, v / (scale * 1.05) - storey - 0.52
    pixel = footprint / scale
    pane = band(x, 0.24, pixel) * band(y, 0.27, pixel)
    frame = band(x, 0.28, pixel) * band(y, 0.31, pixel)
    bar = band(x, 0.012, pixel) * pane
    tone = 1 + contrast * (grain(u, v, 0.5, footprint, seed) + 0.7 * grain(u * 3, v * 0.4, 2.0, footprint, seed + 1))
    if y < -0.31 and y > -0.36:
        tone -= 0.12 * band(x, 0.3, pixel) / (1 + pixel * 8)
    draw = hash2(int(column), int(storey), seed + 7)
    window = pane * (1 - bar)
    if draw > 0.72 and y > 0.27 - 0.5 * (draw - 0.5):
        window *= 0.35
    tone += 0.25 * (frame - pane) / (1 + pixel * 4)
    return window, gloss + (0.25 - gloss) * window, tone


@njit(cache=True)
def interpolate(values: NDArray, b1: float, b2: float, column: int) -> float:
    """Return one column of (3, C) corner values at a barycentric point."""
    return values[0, column] * (1 - b1 - b2) + values[1, column] * b1 + values[2, column] * b2


@njit(cache=True, nogil=True)
def reflectance_kernel(
    triangle: NDArray,
    barycentric: NDArray,
    directions: NDArray,
    arrays: tuple[NDArray, NDArray, NDArray, NDArray],
    road: NDArray,
    out: NDArray,
) -> None:
    """Write reflectance and cosine of incidence of each hit into ``out`` (N, 2)."""
    normals, uv, material, table = arrays
    surface = np.zeros(5, dtype=np.float32)
    for i in range(len(triangle)):
        t = triangle[i]
        b1, b2 = barycentric[i, 0], barycentric[i, 1]
        row = table[material[t]]
        nx, ny, nz = (
            interpolate(normals[t], b1, b2, 0),
            interpolate(normals[t], b1, b2, 1),
            interpolate(normals[t], b1, b2, 2),
        )
        cosine = abs(nx * directions[i, 0] + ny * directions[i, 1] + nz * directions[i, 2])
        albedo(row, interpolate(uv[t], b1, b2, 0), interpolate(uv[t], b1, b2, 1), 0.02, road, 0.02, surface)
        base = row[0] + row[1] + row[2]
        # The texture changes what returns as it changes what is seen; glass mirrors the pulse away.
        share = (surface[0] + surface[1] + surface[2]) / max(base, 1e-3)
        out[i, 0] = row[11] * min(max(share, 0.3), 3.0) * (1 - min(3 * max(surface[3] - 0.1, 0.0), 0.95))
        out[i, 1] = max(abs(cosine), 0.01)


@njit(cache=True)
def sky_color(x: float, y: float, z: float, env: NDArray, out: NDArray) -> None:
    """Write the colour of the sky in a direction (unit vector) into ``out`` (3,)."""
    up = max(z, 0.0)
    blend = 1 - np.exp(-4.5 * up)
    glow = max(x * env[0] + y * env[1] + z * env[2], 0.0)
    halo = 0.25 * glow**8 + 1.2 * glow**400
    cover = 0.0
    if env[12] > 0.02 and z > 0.01:
        seed = int(env[15])
        px, py = x / (z + 0.12), y / (z + 0.12)
        noise = value_noise(px, py, seed) + 0.5 * value_noise(2.1 * px, 2.1 * py, seed + 1)
        noise += 0.25 * value_noise(4.3 * px, 4.3 * py, seed + 2)
        cover = min(max((noise * 0.6 + 2 * env[12] - 1) * 1.6, 0.0), 1.0) * min(z * 12, 1.0)
    for c in range(3):
        clear = env[9 + c] * (1 - blend) + env[6 + c] * blend
        cloud = 0.75 * env[9 + c] + 0.35 * env[3 + c] + 0.1
        out[c] = clear * (1 - cover) + cloud * cover + env[3 + c] * halo * (1 - 0.7 * cover)


@njit(cache=True)
def _reflection(x: float, y: float, z: float, env: NDArray, out: NDArray) -> None:
    """Write what a mirror shows in a direction: sky, a dark belt of surroundings, ground."""
    if z > 0.02:
        sky_color(x, y, z, env, out)
        if z < 0.3:
            belt = 0.45 + 0.35 * value_noise(np.arctan2(y, x) * 6, 0.0, int(env[15]) + 11) + z * 2.0
            belt = min(max(belt, 0.15), 1.0)
            for c in range(3):
                out[c] *= belt
    else:
        for c in range(3):
            out[c] = 0.16 * env[6 + c] + 0.12 * env[3 + c] * max(env[2], 0.0)


@njit(cache=True)
def _contact(x: float, y: float, z: float, footprints: NDArray) -> float:
    """Return the share of sky light that reaches a ground point between the actors' footprints."""
    light = 1.0
    for k in range(len(footprints)):
        dx, dy = x - footprints[k, 0], y - footprints[k, 1]
        reach = footprints[k, 7]
        if dx * dx + dy * dy > reach * reach or abs(z - footprints[k, 2]) > 0.35:
            continue
        along = abs(dx * footprints[k, 3] + dy * footprints[k, 4]) - footprints[k, 5]
        across = abs(dy * footprints[k, 3] - dx * footprints[k, 4]) - footprints[k, 6]
        if along > 0 and across > 0:
            gap = np.sqrt(along * along + across * across)
        else:
            gap = max(along, across)
        if gap < CONTACT_RANGE:
            near = 1 - max(gap, -0.25) / CONTACT_RANGE
            light = min(light, 1 - 0.75 * min(near * near, 1.0))
    return light


@njit(cache=True, nogil=True)
def normals_kernel(
    triangle: NDArray, barycentric: NDArray, directions: NDArray, normals: NDArray, out: NDArray
) -> None:
    """Interpolate normals and turn them towards the viewer."""
    for i in range(len(triangle)):
        t = triangle[i]
        if t < 0:
            continue
        b1, b2 = barycentric[i, 0], barycentric[i, 1]
        x, y, z = (
            interpolate(normals[t], b1, b2, 0),
            interpolate(normals[t], b1, b2, 1),
            interpolate(normals[t], b1, b2, 2),
        )
        size = np.sqrt(x * x + y * y + z * z) + 1e-9
        if x * directions[i, 0] + y * directions[i, 1] + z * directions[i, 2] > 0:
            size = -size
        out[i, 0], out[i, 1], out[i, 2] = x / size, y / size, z / size


@njit(cache=True, nogil=True)
def shade_kernel(
    rays: tuple[NDArray, NDArray, NDArray, NDArray],
    origin: NDArray,
    normals: NDArray,
    lit: NDArray,
    surfaces: tuple[NDArray, NDArray, NDArray],
    world: tuple[NDArray, NDArray, NDArray],
    pixel: float,
    out: NDArray,
) -> None:
    """Write the light along each ray into ``out`` (N, 3); the arguments are those of ``shading.shade``, as arrays."""
    directions, distance, triangle, barycentric = rays
    uv, material, table = surfaces
    env, road, footprints = world
    surface, mirror = np.zeros(5, np.float32), np.zeros(3, np.float32)
    for i in range(len(triangle)):
        dx, dy, dz = directions[i, 0], directions[i, 1], directions[i, 2]
        t = triangle[i]
        if t < 0:
            sky_color(dx, dy, dz, env, out[i])
            continue
        d = distance[i]
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        # Interpolated normals can lean away at the rim of a body.
        facing = max(-(nx * dx + ny * dy + nz * dz), 0.0)
        foot = pixel * d / min(max(facing, 0.08) * 1.5, 1.0)
        b1, b2 = barycentric[i, 0], barycentric[i, 1]
        row = table[material[t]]
        albedo(row, interpolate(uv[t], b1, b2, 0), interpolate(uv[t], b1, b2, 1), foot, road, pixel * d, surface)
        sun = max(nx * env[0] + ny * env[1] + nz * env[2], 0.0) * lit[i]
        open_sky = 0.5 + 0.5 * nz
        shade = 1.0
        if nz > 0.7 and len(footprints) > 0:
            shade = _contact(origin[0] + d * dx, origin[1] + d * dy, origin[2] + d * dz, footprints)
        gloss = surface[3]
        if row[3] == 7.0 or row[3] == 1.0:
            gloss = max(gloss, 0.08 * env[14])
        fresnel = 0.0
        if gloss > 0.004:
            fresnel = gloss + (1 - gloss) * min(0.75, 8 * gloss) * (1 - min(facing, 1.0)) ** 5
            rx, ry, rz = dx + 2 * facing * nx, dy + 2 * facing * ny, dz + 2 * facing * nz
            _reflection(rx, ry, rz, env, mirror)
            spark = max(rx * env[0] + ry * env[1] + rz * env[2], 0.0) ** 180 * lit[i] * 12
            for c in range(3):
                mirror[c] = mirror[c] * (0.4 + 0.6 * shade) + env[3 + c] * spark
        haze = 1 - np.exp(-d / env[13])
        for c in range(3):
            ambient = env[6 + c] * open_sky * shade + (0.22 * env[6 + c] + 0.12 * env[3 + c]) * (1 - open_sky)
            color = surface[c] * (ambient + env[3 + c] * sun * (0.5 + 0.5 * shade)) * (1 - fresnel)
            color += mirror[c] * fresnel + surface[4] * surface[c]
            out[i, c] = color * (1 - haze) + env[9 + c] * haze
