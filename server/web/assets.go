package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file that every browser may keep for ever: its address changes
// with its content.
type asset struct {
	address     string
	contentType string
	content     []byte
}

// assets are found by file name and by the last element of their address.
type assets map[string]asset

// loadAssets reads the files inside the program; an error there panics.
func loadAssets() assets {
	files, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic(err)
	}
	all := make(assets)
	for _, f := range files {
		content, err := assetFiles.ReadFile("assets/" + f.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		ext := path.Ext(f.Name())
		name := f.Name()[:len(f.Name())-len(ext)] + "-" + hex.EncodeToString(sum[:6]) + ext
		a := asset{address: "/assets/" + name, contentType: mime.TypeByExtension(ext), content: content}
		all[f.Name()], all[name] = a, a
	}
	return all
}

func (a assets) url(file string) string { return a[file].address }

func (s *site) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := s.assets[r.PathValue("name")]
	if !ok || a.address != r.URL.Path {
		s.fail(w, r, errNoPage())
		return
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(a.content)
}
