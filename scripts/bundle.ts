// Makes one file of the modules of a package, with one small file for each of its subpaths: a program
// that starts opens two files instead of forty, which was most of the time that it took to load.
//
//   node scripts/bundle.ts <src> <dist>
import fs from "node:fs"
import path from "node:path"
import { build } from "vite"

/** Puts the JavaScript of `src` into `dist`, in place of what the compiler made of it. */
const bundle = async (src: string, dist: string): Promise<void> => {
  for (const file of fs.readdirSync(dist, { recursive: true, encoding: "utf8" })) {
    // its map too; the declarations stay
    if (/\.js(\.map)?$/.test(file)) fs.rmSync(path.join(dist, file))
  }
  const subpaths = fs
    .readdirSync(src)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => path.basename(file, ".ts"))
  await build({
    configFile: false,
    logLevel: "warn",
    build: {
      ssr: true,
      outDir: dist,
      emptyOutDir: false,
      minify: false,
      sourcemap: true,
      rolldownOptions: {
        input: Object.fromEntries(subpaths.map((name) => [name, path.join(src, `${name}.ts`)])),
        external: /^effect(\/|$)/,
        preserveEntrySignatures: "strict",
        output: {
          entryFileNames: "[name].js",
          // no subpath of the package leads there
          chunkFileNames: "internal/[name].js",
          codeSplitting: { groups: [{ name: "all" }] }
        }
      }
    }
  })
}

const [src, dist] = process.argv.slice(2)
if (src === undefined || dist === undefined) throw new Error("bundle.ts needs two folders")
await bundle(path.resolve(src), path.resolve(dist))
